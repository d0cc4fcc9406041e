// GPT-2: layer norms with biases, learned positions, an ungated MLP, and linear layers whose
// weights are stored [in, out].

#include "common/model/families/families.h"

namespace attune {
namespace {

ModelNames Names() {
  ModelNames names;
  names.embedding = "transformer.wte";
  names.positions = "transformer.wpe";
  names.norm = "transformer.ln_f";
  names.head = "lm_head";
  names.layer = "transformer.h.";
  names.qkv = {"attn.c_attn"};
  names.attention_out = "attn.c_proj";
  names.mlp_in = {"mlp.c_fc"};
  names.mlp_out = "mlp.c_proj";
  names.attention_norm = "ln_1";
  names.mlp_norm = "ln_2";
  return names;
}

Status DescribeGpt2(FieldReader& fields, ModelConfig* config) {
  config->names = Names();
  config->vocabulary_size = 50257;
  config->hidden_size = 768;
  config->layers = config->heads = 12;
  config->max_positions = 1024;
  config->norm = NormKind::kLayer;
  config->norm_eps = 1e-5;
  config->tied_embeddings = true;
  config->gated = false;
  config->transposed_linears = true;
  config->qkv_bias = config->attention_out_bias = config->mlp_bias = true;
  fields.Integer("vocab_size", config->vocabulary_size, 2, 1 << 24);
  fields.Integer("n_embd", config->hidden_size, 1, 1 << 18);
  fields.Integer("n_layer", config->layers, 1, 4096);
  fields.Integer("n_head", config->heads, 1, 1 << 14);
  fields.Integer("n_positions", config->max_positions, 1, 1 << 24);
  fields.Number("layer_norm_epsilon", config->norm_eps);
  fields.Flag("tie_word_embeddings", config->tied_embeddings);
  config->intermediate_size = 4 * config->hidden_size;
  fields.Integer("n_inner", config->intermediate_size, 1, 1 << 20);
  ReadActivation(fields, "activation_function", "gelu_new", config);
  SetEqualHeads(fields, "n_head", "n_embd", config);
  bool scaled = true, by_layer = false, cross = false;
  fields.Flag("scale_attn_weights", scaled);
  fields.Flag("scale_attn_by_inverse_layer_idx", by_layer);
  fields.Flag("add_cross_attention", cross);
  if (by_layer) fields.Fail("scale_attn_by_inverse_layer_idx", "is not supported");
  if (cross) fields.Fail("add_cross_attention", "is not supported");
  if (!scaled) config->attention_scale = 1;
  return fields.status();
}

const Family kFamilies[] = {{"gpt2", "GPT2LMHeadModel", DescribeGpt2}};

}  // namespace

std::span<const Family> Gpt2Families() {
  return kFamilies;
}

}  // namespace attune
