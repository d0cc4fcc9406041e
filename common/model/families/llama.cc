// Llama 1, 2 and 3 and what shares their architecture (SmolLM2, TinyLlama); Mistral, which adds a
// window.

#include "common/model/families/families.h"

namespace attune {
namespace {

Status DescribeLlama(FieldReader& fields, ModelConfig* config) {
  ReadLlamaLayout(fields, {}, config);
  ReadActivation(fields, "hidden_act", "silu", config);
  bool attention_bias = false;
  fields.Flag("attention_bias", attention_bias);
  config->qkv_bias = config->attention_out_bias = attention_bias;
  fields.Flag("mlp_bias", config->mlp_bias);
  RefuseDropout(fields, {"attention_dropout"});
  return ReadRope(fields, 10000, /*partial=*/false, config);
}

Status DescribeMistral(FieldReader& fields, ModelConfig* config) {
  ReadLlamaLayout(fields, {.intermediate = 14336, .kv_heads = 8, .positions = 4096 * 32}, config);
  ReadActivation(fields, "hidden_act", "silu", config);
  RefuseDropout(fields, {"attention_dropout"});
  int64_t window = fields.object().contains("sliding_window") ? 0 : 4096;  // null: none
  fields.Integer("sliding_window", window, 1, int64_t{1} << 40);
  config->windows.assign(static_cast<size_t>(config->layers), window);
  return ReadRope(fields, 10000, /*partial=*/false, config);
}

const Family kFamilies[] = {{"llama", "LlamaForCausalLM", DescribeLlama},
                            {"mistral", "MistralForCausalLM", DescribeMistral}};

}  // namespace

std::span<const Family> LlamaFamilies() {
  return kFamilies;
}

}  // namespace attune
