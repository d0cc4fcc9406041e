// T5 and Flan-T5: an encoder that reads a source, and a decoder that writes an answer to it. Both
// have RMS norms before each half, attention that is not scaled but biased by distance, and no
// biases elsewhere. T5 v1.0 has a plain MLP and a head that is the embedding, scaled; v1.1, which
// Flan-T5 is made of, a gated MLP and a head of its own.

#include <cmath>
#include <memory>

#include "common/model/families/families.h"

namespace attune {
namespace {

ModelNames Names(const std::string& stack, const std::string& mlp, bool gated) {
  ModelNames names;
  names.embedding = "shared";
  names.embedding_copies = {"encoder.embed_tokens", "decoder.embed_tokens"};
  names.norm = stack + ".final_layer_norm";
  names.layer = stack + ".block.";
  const std::string attention = "layer.0.SelfAttention.";
  names.qkv = {attention + "q", attention + "k", attention + "v"};
  names.attention_out = attention + "o";
  names.distance_bias = attention + "relative_attention_bias";
  names.attention_norm = "layer.0.layer_norm";
  const std::string dense = mlp + "DenseReluDense.";
  names.mlp_in = {dense + "wi"};
  if (gated) names.mlp_in = {dense + "wi_0", dense + "wi_1"};
  names.mlp_out = dense + "wo";
  names.mlp_norm = mlp + "layer_norm";
  return names;
}

void AddDecoderNames(ModelNames* names) {
  const std::string attention = "layer.1.EncDecAttention.";
  names->cross_query = attention + "q";
  names->cross_key_value = {attention + "k", attention + "v"};
  names->cross_out = attention + "o";
  names->cross_norm = "layer.1.layer_norm";
  names->head = "lm_head";
  // A bias that the first files have, and that nothing reads.
  names->ignored = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias."};
}

void ReadSizes(FieldReader& fields, ModelConfig* config) {
  config->vocabulary_size = 32128;
  config->hidden_size = 512;
  config->head_dim = 64;
  config->intermediate_size = 2048;
  config->layers = 6;
  config->heads = 8;
  fields.Integer("vocab_size", config->vocabulary_size, 2, 1 << 24);
  fields.Integer("d_model", config->hidden_size, 1, 1 << 18);
  fields.Integer("d_kv", config->head_dim, 1, 1 << 14);
  fields.Integer("d_ff", config->intermediate_size, 1, 1 << 20);
  fields.Integer("num_layers", config->layers, 1, 4096);
  fields.Integer("num_heads", config->heads, 1, 1 << 14);
  config->kv_heads = config->heads;
  config->max_positions = int64_t{1} << 30;  // distances have no end
}

// The decoder has half of the buckets for distances of one each, the encoder a quarter, as the
// other half are for what comes after; the rest are ranges up to the farthest.
void ReadDistances(FieldReader& fields, DistanceBuckets* distances) {
  *distances = {.buckets = 32, .farthest = 128};
  fields.Integer("relative_attention_num_buckets", distances->buckets, 4, 1 << 16);
  fields.Integer("relative_attention_max_distance", distances->farthest, 2, 1 << 24);
  if (distances->farthest <= distances->buckets / 2) {
    fields.Fail("relative_attention_max_distance",
                "must be more than half of relative_attention_num_buckets");
  }
}

// "relu", "gated-gelu": transformers reads the latter as gated-gelu_new.
void ReadMlp(FieldReader& fields, ModelConfig* config) {
  constexpr const char* kKey = "feed_forward_proj";
  constexpr std::string_view kGated = "gated-";
  std::string name = "relu";
  fields.Text(kKey, name);
  config->gated = name.starts_with(kGated);
  if (config->gated) name = name.substr(kGated.size());
  if (config->gated && name == "gelu") name = "gelu_new";
  SetActivation(fields, kKey, name, config);
}

// transformers scales what a tied head reads, and says so since version 5 in a field of its own,
// since when tie_word_embeddings is true in what it writes, whatever the file holds.
void ReadHead(FieldReader& fields, ModelConfig* config) {
  bool tied = true;
  fields.Flag("tie_word_embeddings", tied);
  fields.Flag("scale_decoder_outputs", tied);
  config->head = HeadKind::kAnswer;
  config->tied_embeddings = tied;
  if (tied) config->head_scale = 1 / std::sqrt(static_cast<double>(config->hidden_size));
}

// The padding token, as all published models have it, where transformers has none.
void ReadStartToken(FieldReader& fields, ModelConfig* config) {
  config->start_token = ReadPaddingToken(fields, 0).value_or(0);
  fields.Integer("decoder_start_token_id", config->start_token, 0, 1 << 24);
  if (config->start_token >= config->vocabulary_size) {
    fields.Fail("decoder_start_token_id", "must be below vocab_size");
  }
}

Status DescribeT5(FieldReader& fields, ModelConfig* config) {
  ReadSizes(fields, config);
  ReadDistances(fields, &config->distances);
  ReadMlp(fields, config);
  config->attention_scale = 1;
  fields.Number("layer_norm_epsilon", config->norm_eps);
  if (!(config->norm_eps >= 0)) fields.Fail("layer_norm_epsilon", "must not be negative");
  bool decoder = false;
  fields.Flag("is_decoder", decoder);
  if (decoder) fields.Fail("is_decoder", "is not supported");

  ModelConfig encoder = *config;
  encoder.names = Names("encoder", "layer.1.", config->gated);
  encoder.head = HeadKind::kNone;
  encoder.tied_embeddings = true;
  encoder.causal = false;
  encoder.windows.assign(static_cast<size_t>(encoder.layers), 0);
  config->encoder = std::make_shared<const ModelConfig>(std::move(encoder));

  config->names = Names("decoder", "layer.2.", config->gated);
  AddDecoderNames(&config->names);
  fields.Integer("num_decoder_layers", config->layers, 1, 4096);
  ReadHead(fields, config);
  ReadStartToken(fields, config);
  return fields.status();
}

const Family kFamilies[] = {{"t5", "T5ForConditionalGeneration", DescribeT5}};

}  // namespace

std::span<const Family> T5Families() {
  return kFamilies;
}

}  // namespace attune
