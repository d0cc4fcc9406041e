#include "common/model/gguf_names.h"

#include <charconv>

#include "common/model/gguf_config.h"
#include "common/safetensors/header.h"

namespace attune {
namespace {

struct Pair {
  std::string_view gguf, huggingface;
};

constexpr Pair kTop[] = {
    {"token_embd.weight", "model.embed_tokens.weight"},
    {"output_norm.weight", "model.norm.weight"},
    {"output.weight", "lm_head.weight"},
};

constexpr Pair kLayer[] = {
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
};

Status Unknown(std::string_view name) {
  return InvalidArgument("tensor " + QuotedName(name) + " is not one of a Llama model");
}

Status CheckPermutation(const gguf::Tensor& tensor, int64_t heads) {
  if (heads == 0) return Status();
  const uint64_t rows = tensor.dimensions.empty() ? 1 : tensor.dimensions.back();
  if (tensor.dimensions.size() <= 2 && rows % (2 * static_cast<uint64_t>(heads)) == 0 &&
      tensor.elements / rows % tensor.type->block_elements == 0) {
    return Status();
  }
  return InvalidArgument("tensor " + QuotedName(tensor.name) + " has " + std::to_string(rows) +
                         " rows, which " + std::to_string(heads) +
                         " attention heads with rotary pairs cannot share");
}

}  // namespace

Result<LlamaTensorName> LlamaNameOf(std::string_view gguf_name, int64_t layers, int64_t heads,
                                    int64_t key_value_heads) {
  for (const Pair& pair : kTop) {
    if (pair.gguf == gguf_name) return LlamaTensorName{std::string(pair.huggingface)};
  }
  // The config says what the frequencies are; see gguf_config.cc.
  if (gguf_name == "rope_freqs.weight") return LlamaTensorName{};
  if (!gguf_name.starts_with("blk.")) return Unknown(gguf_name);
  const char* end = gguf_name.data() + gguf_name.size();
  uint32_t layer = 0;
  auto [rest, error] = std::from_chars(gguf_name.data() + 4, end, layer);
  std::string number = std::to_string(layer);
  // Only the canonical spelling, so that no two names mean the same tensor.
  if (error != std::errc() || rest == end || *rest != '.' ||
      !gguf_name.substr(4).starts_with(number + ".")) {
    return Unknown(gguf_name);
  }
  if (layer >= layers) {
    return InvalidArgument("tensor " + QuotedName(gguf_name) + " is of a layer beyond the " +
                           std::to_string(layers) + " of the model");
  }
  std::string_view local(rest + 1, static_cast<size_t>(end - rest - 1));
  size_t dot = local.rfind('.');
  std::string_view suffix = dot == std::string_view::npos ? "" : local.substr(dot);
  local = local.substr(0, dot);
  if (suffix != ".weight" && suffix != ".bias") return Unknown(gguf_name);
  if (local == "attn_rot_embd" || local == "rope_freqs") return LlamaTensorName{};
  for (const Pair& pair : kLayer) {
    if (pair.gguf != local) continue;
    std::string name =
        "model.layers." + number + "." + std::string(pair.huggingface) + std::string(suffix);
    return LlamaTensorName{name, local == "attn_q"   ? heads
                                 : local == "attn_k" ? key_value_heads
                                                     : 0};
  }
  return Unknown(gguf_name);
}

Result<std::map<std::string, LlamaTensor>> LlamaTensorsOf(const gguf::File& file) {
  ATTUNE_ASSIGN_OR_RETURN(LlamaSizes sizes, ReadLlamaSizes(file));
  std::map<std::string, LlamaTensor> tensors;
  for (const auto& [gguf_name, tensor] : file.tensors()) {
    ATTUNE_ASSIGN_OR_RETURN(LlamaTensorName name, LlamaNameOf(gguf_name, sizes.layers, sizes.heads,
                                                              sizes.key_value_heads));
    if (name.name.empty()) continue;
    ATTUNE_RETURN_IF_ERROR(CheckPermutation(tensor, name.heads));
    tensors.emplace(name.name, LlamaTensor{&tensor, name.heads});
  }
  return tensors;
}

}  // namespace attune
