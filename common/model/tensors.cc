#include "common/model/tensors.h"

#include "common/gguf/types.h"
#include "common/safetensors/header.h"

namespace attune {
namespace {

using Shape = std::vector<int64_t>;
using Shapes = std::map<std::string, Shape>;

struct Linear {
  const char* name;  // within its layer
  int64_t out, in;
  bool bias;
};

std::vector<Linear> LinearsOf(const LlamaConfig& c) {
  return {{"self_attn.q_proj", c.q_size(), c.hidden_size, c.attention_bias},
          {"self_attn.k_proj", c.kv_size(), c.hidden_size, c.attention_bias},
          {"self_attn.v_proj", c.kv_size(), c.hidden_size, c.attention_bias},
          {"self_attn.o_proj", c.hidden_size, c.q_size(), c.attention_bias},
          {"mlp.gate_proj", c.intermediate_size, c.hidden_size, c.mlp_bias},
          {"mlp.up_proj", c.intermediate_size, c.hidden_size, c.mlp_bias},
          {"mlp.down_proj", c.hidden_size, c.intermediate_size, c.mlp_bias}};
}

std::string LayerPrefix(int64_t layer) {
  return "model.layers." + std::to_string(layer) + ".";
}

Shapes LlamaShapes(const LlamaConfig& config) {
  const Shape embedding = {config.vocabulary_size, config.hidden_size};
  Shapes shapes = {{"model.embed_tokens.weight", embedding},
                   {"model.norm.weight", {config.hidden_size}}};
  if (!config.tied_embeddings) shapes["lm_head.weight"] = embedding;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string prefix = LayerPrefix(layer);
    for (const Linear& linear : LinearsOf(config)) {
      shapes[prefix + linear.name + ".weight"] = {linear.out, linear.in};
      if (linear.bias) shapes[prefix + linear.name + ".bias"] = {linear.out};
    }
    shapes[prefix + "input_layernorm.weight"] = {config.hidden_size};
    shapes[prefix + "post_attention_layernorm.weight"] = {config.hidden_size};
  }
  return shapes;
}

Status CheckTensor(const std::string& name, const Shape& shape, const TensorInfos& found,
                   const std::string& where) {
  const auto tensor = found.find(name);
  if (tensor == found.end()) return InvalidArgument(where + ": the tensor " + name + " is missing");
  if (tensor->second.shape != shape) {
    return InvalidArgument(where + ": the tensor " + name + " has the shape " +
                           ShapeText(tensor->second.shape) + ", its configuration wants " +
                           ShapeText(shape));
  }
  const gguf::ElementType* type = gguf::FindElementType(tensor->second.dtype);
  if (type == nullptr || !type->weights) {
    return InvalidArgument(where + ": the tensor " + name + " has the type " +
                           QuotedName(tensor->second.dtype) +
                           ", which is not read as weights; supported: " + gguf::WeightTypeNames());
  }
  return Status();
}

Status CheckTensors(const Shapes& expected, const TensorInfos& found, const std::string& where) {
  for (const auto& [name, shape] : expected) {
    ATTUNE_RETURN_IF_ERROR(CheckTensor(name, shape, found, where));
  }
  for (const auto& [name, info] : found) {
    if (!expected.contains(name) && !name.ends_with(".rotary_emb.inv_freq")) {
      return InvalidArgument(where + ": the tensor " + QuotedName(name) +
                             " has no place in its configuration");
    }
  }
  return Status();
}

}  // namespace

int64_t TensorInfo::elements() const {
  int64_t count = 1;
  for (int64_t dimension : shape) count *= dimension;
  return count;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

std::vector<std::string> LinearModules(const LlamaConfig& config) {
  std::vector<std::string> names;
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (const Linear& linear : LinearsOf(config))
      names.push_back(LayerPrefix(layer) + linear.name);
  }
  return names;
}

std::vector<std::string> LlamaTensorNames(const LlamaConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, shape] : LlamaShapes(config)) names.push_back(name);
  return names;
}

std::string DtypeOf(const TensorInfos& tensors) {
  std::string_view common;
  for (const auto& [name, info] : tensors) {
    if (info.shape.size() < 2) continue;
    if (!common.empty() && common != info.dtype) return "float32";
    common = info.dtype;
  }
  return common == "BF16" ? "bfloat16" : common == "F16" ? "float16" : "float32";
}

Status CheckLlamaTensors(const LlamaConfig& config, const TensorInfos& found,
                         const std::string& where) {
  if (!config.tied_embeddings) return CheckTensors(LlamaShapes(config), found, where);
  // Some exporters write a tied output projection too; the embeddings are what transformers uses.
  TensorInfos used = found;
  used.erase("lm_head.weight");
  return CheckTensors(LlamaShapes(config), used, where);
}

Status CheckLoraTensors(const LlamaConfig& config, const LoraConfig& lora, const TensorInfos& found,
                        const std::string& where) {
  const Shapes base = LlamaShapes(config);
  Shapes expected;
  for (const std::string& module : lora.modules) {
    const Shape& weight = base.at(module + ".weight");
    expected[LoraTensorName(module, 'A')] = {lora.rank, weight[1]};
    expected[LoraTensorName(module, 'B')] = {weight[0], lora.rank};
  }
  return CheckTensors(expected, found, where);
}

}  // namespace attune
