// Qwen2 (and 2.5), which has biases on queries, keys and values; Qwen3, which normalises each head
// of queries and keys instead.

#include "common/model/families/families.h"

namespace attune {
namespace {

Status DescribeShared(FieldReader& fields, const Defaults& defaults, ModelConfig* config) {
  ReadLlamaLayout(fields, defaults, config);
  ReadActivation(fields, "hidden_act", "silu", config);
  RefuseDropout(fields, {"attention_dropout"});
  bool slides = false;
  int64_t window = fields.object().contains("sliding_window") ? 0 : 4096, first = 28;
  fields.Flag("use_sliding_window", slides);
  fields.Integer("sliding_window", window, 1, int64_t{1} << 40);
  fields.Integer("max_window_layers", first, 0, 1 << 20);
  if (!slides) window = 0;
  ReadWindows(
      fields, window, [&](int64_t layer) { return window > 0 && layer >= first; }, config);
  return ReadRope(fields, 10000, /*partial=*/false, config);
}

Status DescribeQwen2(FieldReader& fields, ModelConfig* config) {
  config->qkv_bias = true;
  return DescribeShared(
      fields, {.vocabulary = 151936, .intermediate = 22016, .kv_heads = 32, .positions = 32768},
      config);
}

Status DescribeQwen3(FieldReader& fields, ModelConfig* config) {
  bool bias = false;
  fields.Flag("attention_bias", bias);
  config->qkv_bias = config->attention_out_bias = bias;
  ATTUNE_RETURN_IF_ERROR(DescribeShared(fields,
                                        {.vocabulary = 151936,
                                         .intermediate = 22016,
                                         .kv_heads = 32,
                                         .head_dim = 128,
                                         .positions = 32768},
                                        config));
  config->names.query_norm = "self_attn.q_norm";
  config->names.key_norm = "self_attn.k_norm";
  return Status();
}

const Family kFamilies[] = {{"qwen2", "Qwen2ForCausalLM", DescribeQwen2},
                            {"qwen3", "Qwen3ForCausalLM", DescribeQwen3}};

}  // namespace

std::span<const Family> QwenFamilies() {
  return kFamilies;
}

}  // namespace attune
