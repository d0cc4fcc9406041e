// Gemma 2 and the text models of Gemma 3: norms of 1 + weight before and after each half, scaled
// embeddings, every other layer (of Gemma 3: five of six) with a window. Gemma 2 caps scores and
// logits; Gemma 3 normalises queries and keys, and rotates windowed layers by another base.

#include <cmath>

#include "common/model/families/families.h"

namespace attune {
namespace {

using Json = nlohmann::json;

void ReadShared(FieldReader& fields, const Defaults& defaults, ModelConfig* config) {
  ReadLlamaLayout(fields, defaults, config);
  ReadActivation(fields, "hidden_activation", "gelu_pytorch_tanh", config);
  RefuseDropout(fields, {"attention_dropout"});
  bool bias = false, bidirectional = false;
  fields.Flag("attention_bias", bias);
  config->qkv_bias = config->attention_out_bias = bias;
  fields.Flag("use_bidirectional_attention", bidirectional);
  if (bidirectional) fields.Fail("use_bidirectional_attention", "is not supported");
  config->norm = NormKind::kRmsPlusOne;
  config->names.attention_after_norm = "post_attention_layernorm";
  config->names.mlp_norm = "pre_feedforward_layernorm";
  config->names.mlp_after_norm = "post_feedforward_layernorm";
  config->embedding_scale = std::sqrt(static_cast<double>(config->hidden_size));
  double scalar = 256;
  fields.Number("query_pre_attn_scalar", scalar);
  if (!(scalar > 0)) fields.Fail("query_pre_attn_scalar", "must be more than 0");
  config->attention_scale = 1 / std::sqrt(scalar);
}

void ReadCap(FieldReader& fields, const char* key, double otherwise, double* cap) {
  *cap = fields.object().contains(key) ? 0 : otherwise;  // null: none
  fields.Number(key, *cap);
  if (*cap < 0) fields.Fail(key, "must not be negative");
}

int64_t ReadWindow(FieldReader& fields) {
  int64_t window = fields.object().contains("sliding_window") ? 0 : 4096;
  fields.Integer("sliding_window", window, 1, int64_t{1} << 40);
  return window;
}

constexpr Defaults kDefaults{.vocabulary = 256000,
                             .hidden = 2304,
                             .intermediate = 9216,
                             .layers = 26,
                             .heads = 8,
                             .kv_heads = 4,
                             .head_dim = 256,
                             .positions = 8192,
                             .tied = true,
                             .padding_token = 0};

Status DescribeGemma2(FieldReader& fields, ModelConfig* config) {
  ReadShared(fields, kDefaults, config);
  ReadCap(fields, "final_logit_softcapping", 30, &config->logit_softcap);
  ReadCap(fields, "attn_logit_softcapping", 50, &config->attention_softcap);
  ReadWindows(
      fields, ReadWindow(fields), [](int64_t layer) { return (layer + 1) % 2 != 0; }, config);
  return ReadRope(fields, 10000, /*partial=*/false, config);
}

// The rope of each type of layer: transformers 5 nests them in rope_parameters; before,
// rope_local_base_freq was the windowed layers'.
Status ReadTwoRopes(FieldReader& fields, ModelConfig* config) {
  ATTUNE_RETURN_IF_ERROR(fields.status());
  RopeConfig full, sliding;
  full.max_positions = full.original_max_positions = config->max_positions;
  full.theta = 1e6;
  sliding = full;
  sliding.theta = 1e4;
  fields.Number("rope_theta", full.theta);
  fields.Number("rope_local_base_freq", sliding.theta);
  ATTUNE_RETURN_IF_ERROR(fields.status());
  const Json empty = Json::object();
  const auto at = [&](const char* outer, const char* inner) -> const Json& {
    if (!fields.Has(outer)) return empty;
    const Json& object = fields.object()[outer];
    if (inner == nullptr) return object;
    const bool has = object.is_object() && object.contains(inner) && !object[inner].is_null();
    return has ? object[inner] : empty;
  };
  const Json& global = fields.Has("rope_scaling") ? at("rope_scaling", nullptr)
                                                  : at("rope_parameters", "full_attention");
  const std::string where = fields.where() + ": rope_parameters";
  ATTUNE_ASSIGN_OR_RETURN(full, ParseRopeObject(global, where, full, config->head_dim));
  ATTUNE_ASSIGN_OR_RETURN(sliding, ParseRopeObject(at("rope_parameters", "sliding_attention"),
                                                   where, sliding, config->head_dim));
  config->ropes = {std::move(full), std::move(sliding)};
  for (const int64_t window : config->windows) config->rope_of.push_back(window > 0 ? 1 : 0);
  return Status();
}

Status DescribeGemma3(FieldReader& fields, ModelConfig* config) {
  Defaults defaults = kDefaults;
  defaults.vocabulary = 262208;
  defaults.positions = 131072;
  ReadShared(fields, defaults, config);
  ReadCap(fields, "final_logit_softcapping", 0, &config->logit_softcap);
  // transformers reads attn_logit_softcapping of a Gemma 3, and does not use it.
  int64_t pattern = 6;
  fields.Integer("sliding_window_pattern", pattern, 1, 1 << 20);
  int64_t window = ReadWindow(fields);
  if (window == 0) fields.Fail("sliding_window", "is missing");
  ReadWindows(
      fields, window, [&](int64_t layer) { return (layer + 1) % pattern != 0; }, config);
  config->names.query_norm = "self_attn.q_norm";
  config->names.key_norm = "self_attn.k_norm";
  return ReadTwoRopes(fields, config);
}

const Family kFamilies[] = {{"gemma2", "Gemma2ForCausalLM", DescribeGemma2},
                            {"gemma3_text", "Gemma3ForCausalLM", DescribeGemma3}};

}  // namespace

std::span<const Family> GemmaFamilies() {
  return kFamilies;
}

}  // namespace attune
