// What families with Llama's layout share.

#include <algorithm>
#include <cmath>

#include "common/model/families/families.h"

namespace attune {
namespace {

ModelNames LlamaNames() {
  ModelNames names;
  names.embedding = "model.embed_tokens";
  names.norm = "model.norm";
  names.head = "lm_head";
  names.layer = "model.layers.";
  names.qkv = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
  names.attention_out = "self_attn.o_proj";
  names.mlp_in = {"mlp.gate_proj", "mlp.up_proj"};
  names.mlp_out = "mlp.down_proj";
  names.attention_norm = "input_layernorm";
  names.mlp_norm = "post_attention_layernorm";
  return names;
}

}  // namespace

void SetEqualHeads(FieldReader& fields, const char* heads_key, const char* hidden_key,
                   ModelConfig* config) {
  config->kv_heads = config->heads;
  config->head_dim = config->hidden_size / config->heads;
  if (config->hidden_size % config->heads != 0) {
    fields.Fail(heads_key, std::string("must divide ") + hidden_key);
  }
  const auto dim = static_cast<double>(std::max<int64_t>(1, config->head_dim));
  config->attention_scale = 1 / std::sqrt(dim);
}

std::optional<int64_t> ReadPaddingToken(FieldReader& fields, std::optional<int64_t> otherwise) {
  if (!fields.object().contains("pad_token_id")) return otherwise;
  if (!fields.Has("pad_token_id")) return std::nullopt;
  int64_t token = -1;
  fields.Integer("pad_token_id", token, -1, int64_t{1} << 40);
  return token < 0 ? std::nullopt : std::optional(token);
}

void ReadLlamaLayout(FieldReader& fields, const Defaults& defaults, ModelConfig* config) {
  config->names = LlamaNames();
  config->vocabulary_size = defaults.vocabulary;
  config->hidden_size = defaults.hidden;
  config->intermediate_size = defaults.intermediate;
  config->layers = defaults.layers;
  config->heads = defaults.heads;
  config->max_positions = defaults.positions;
  config->norm_eps = defaults.eps;
  config->tied_embeddings = defaults.tied;
  fields.Integer("vocab_size", config->vocabulary_size, 2, 1 << 24);
  fields.Integer("hidden_size", config->hidden_size, 1, 1 << 18);
  fields.Integer("intermediate_size", config->intermediate_size, 1, 1 << 20);
  fields.Integer("num_hidden_layers", config->layers, 1, 4096);
  fields.Integer("num_attention_heads", config->heads, 1, 1 << 14);
  const bool is_null = fields.object().contains("num_key_value_heads");  // unless it is a number
  config->kv_heads = is_null ? config->heads : defaults.kv_heads.value_or(config->heads);
  fields.Integer("num_key_value_heads", config->kv_heads, 1, 1 << 14);
  config->head_dim = defaults.head_dim.value_or(config->hidden_size / config->heads);
  fields.Integer("head_dim", config->head_dim, 1, 1 << 14);
  fields.Integer("max_position_embeddings", config->max_positions, 1, int64_t{1} << 40);
  fields.Number("rms_norm_eps", config->norm_eps);
  fields.Flag("tie_word_embeddings", config->tied_embeddings);
  config->padding_token = ReadPaddingToken(fields, defaults.padding_token);
  config->attention_scale =
      1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, config->head_dim)));
}

Status ReadRope(FieldReader& fields, double theta, bool partial, ModelConfig* config) {
  if (config->head_dim < 1) fields.Fail("num_attention_heads", "is more than hidden_size");
  if (config->head_dim % 2 != 0) fields.Fail("head_dim", "must be even");
  ATTUNE_RETURN_IF_ERROR(fields.status());
  ATTUNE_ASSIGN_OR_RETURN(RopeConfig rope,
                          ParseRope(fields, theta, config->head_dim, config->max_positions));
  if (!partial && rope.dim != config->head_dim) {
    fields.Fail("partial_rotary_factor", "other than 1 is not supported by this architecture");
  }
  config->ropes = {std::move(rope)};
  config->rope_of.assign(static_cast<size_t>(config->layers), 0);
  return fields.status();
}

void ReadActivation(FieldReader& fields, const char* key, const char* otherwise,
                    ModelConfig* config) {
  std::string name = otherwise;
  fields.Text(key, name);
  SetActivation(fields, key, name, config);
}

void SetActivation(FieldReader& fields, const char* key, const std::string& name,
                   ModelConfig* config) {
  struct Known {
    const char* name;
    Activation activation;
  };
  static constexpr Known kKnown[] = {
      {"silu", Activation::kSilu},         {"swish", Activation::kSilu},
      {"gelu", Activation::kGelu},         {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"gelu_new", Activation::kGeluTanh}, {"relu", Activation::kRelu}};
  for (const Known& known : kKnown) {
    if (name != known.name) continue;
    config->activation = known.activation;
    return;
  }
  fields.Fail(key, "is not supported; supported: silu, gelu, gelu_new, gelu_pytorch_tanh, relu");
}

void RefuseDropout(FieldReader& fields, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    double dropout = 0;
    fields.Number(key, dropout);
    if (dropout != 0) fields.Fail(key, "other than 0 is not supported");
  }
}

void ReadWindows(FieldReader& fields, int64_t window, const std::function<bool(int64_t)>& sliding,
                 ModelConfig* config) {
  std::vector<std::string> types;
  fields.Texts("layer_types", types);
  const auto layers = static_cast<size_t>(config->layers);
  if (fields.Has("layer_types") && types.size() != layers) {
    return fields.Fail("layer_types",
                       "must have a type for each of " + std::to_string(layers) + " layers");
  }
  config->windows.assign(layers, 0);
  for (size_t i = 0; i < layers; ++i) {
    const bool slides =
        types.empty() ? sliding(static_cast<int64_t>(i)) : types[i] == "sliding_attention";
    if (!types.empty() && !slides && types[i] != "full_attention") {
      return fields.Fail(
          "layer_types",
          "has a type that is not supported; supported: full_attention, sliding_attention");
    }
    if (slides) config->windows[i] = window;
  }
}

}  // namespace attune
