// Phi-3 and what shares its architecture (Phi-3.5-mini, Phi-4, Phi-4-mini): one tensor for queries,
// keys and values and one for gate and up; a part of each head may be rotated.

#include "common/model/families/families.h"

namespace attune {
namespace {

Status DescribePhi3(FieldReader& fields, ModelConfig* config) {
  ReadLlamaLayout(fields,
                  {.vocabulary = 32064,
                   .hidden = 3072,
                   .intermediate = 8192,
                   .positions = 4096,
                   .eps = 1e-5,
                   .padding_token = 32000},
                  config);
  config->names.qkv = {"self_attn.qkv_proj"};
  config->names.mlp_in = {"mlp.gate_up_proj"};
  ReadActivation(fields, "hidden_act", "silu", config);
  RefuseDropout(fields, {"attention_dropout", "resid_pdrop", "embd_pdrop"});
  int64_t window = 0;
  fields.Integer("sliding_window", window, 1, int64_t{1} << 40);
  config->windows.assign(static_cast<size_t>(config->layers), window);
  return ReadRope(fields, 10000, /*partial=*/true, config);
}

const Family kFamilies[] = {{"phi3", "Phi3ForCausalLM", DescribePhi3}};

}  // namespace

std::span<const Family> PhiFamilies() {
  return kFamilies;
}

}  // namespace attune
