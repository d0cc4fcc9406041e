#include "common/model/tensors.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "common/gguf/types.h"
#include "common/model/tensor_shapes.h"
#include "common/safetensors/header.h"

namespace attune {
namespace {

constexpr ProjectionKind kProjectionKinds[] = {
    ProjectionKind::kQkv,           ProjectionKind::kAttentionOut, ProjectionKind::kCrossQuery,
    ProjectionKind::kCrossKeyValue, ProjectionKind::kCrossOut,     ProjectionKind::kMlpIn,
    ProjectionKind::kMlpOut};

// Buffers that older files hold.
constexpr std::string_view kNoParameters[] = {".rotary_emb.inv_freq", ".attn.bias",
                                              ".attn.masked_bias", ".position_ids"};

using Shape = std::vector<int64_t>;
using Shapes = std::map<std::string, Shape>;

std::string LayerPrefix(const ModelConfig& config, int64_t layer) {
  return config.names.layer + std::to_string(layer) + ".";
}

// The sizes of what the names of one projection stand for: all in one, or each by itself.
std::vector<int64_t> PartSizes(const std::vector<std::string>& names, std::vector<int64_t> sizes) {
  if (names.size() > 1) return sizes;
  return {std::accumulate(sizes.begin(), sizes.end(), int64_t{0})};
}

void AddNorm(const ModelConfig& config, const std::string& name, int64_t size, Shapes* shapes) {
  (*shapes)[name + ".weight"] = {size};
  if (config.norm == NormKind::kLayer) (*shapes)[name + ".bias"] = {size};
}

void AddLinear(const ModelConfig& config, const LinearInfo& linear, Shapes* shapes) {
  (*shapes)[linear.name + ".weight"] =
      config.transposed_linears ? Shape{linear.in, linear.out} : Shape{linear.out, linear.in};
  if (linear.bias) (*shapes)[linear.name + ".bias"] = {linear.out};
}

void AddLayer(const ModelConfig& config, int64_t layer, Shapes* shapes) {
  const std::string prefix = LayerPrefix(config, layer);
  for (ProjectionKind kind : kProjectionKinds) {
    for (const LinearInfo& linear : LinearsOf(config, layer, kind))
      AddLinear(config, linear, shapes);
  }
  const ModelNames& names = config.names;
  for (const std::string& norm : {names.attention_norm, names.cross_norm, names.mlp_norm,
                                  names.attention_after_norm, names.mlp_after_norm}) {
    if (!norm.empty()) AddNorm(config, prefix + norm, config.hidden_size, shapes);
  }
  for (const std::string& norm : {names.query_norm, names.key_norm}) {
    if (!norm.empty()) AddNorm(config, prefix + norm, config.head_dim, shapes);
  }
  if (layer == 0 && !names.distance_bias.empty()) {
    (*shapes)[prefix + names.distance_bias + ".weight"] = {config.distances.buckets, config.heads};
  }
}

Shapes ShapesOf(const ModelConfig& config) {
  const Shape embedding = {config.vocabulary_size, config.hidden_size};
  Shapes shapes = config.encoder ? ShapesOf(*config.encoder) : Shapes();
  shapes[config.names.embedding + ".weight"] = embedding;
  if (config.learned_positions()) {
    shapes[config.names.positions + ".weight"] = {config.max_positions, config.hidden_size};
  }
  const ModelNames& names = config.names;
  if (config.token_types > 0) {
    shapes[names.token_types + ".weight"] = {config.token_types, config.hidden_size};
  }
  for (const std::string& norm : {names.embedding_norm, names.norm, names.transform_norm}) {
    if (!norm.empty()) AddNorm(config, norm, config.hidden_size, &shapes);
  }
  for (const std::string& linear : {names.pooler, names.transform}) {
    if (linear.empty()) continue;
    AddLinear(config, {linear, config.hidden_size, config.hidden_size, /*bias=*/true}, &shapes);
  }
  if (!names.head_bias.empty()) shapes[names.head_bias] = {config.outputs()};
  if (!config.tied_embeddings) {
    shapes[names.head + ".weight"] = {config.outputs(), config.hidden_size};
  }
  for (int64_t layer = 0; layer < config.layers; ++layer) AddLayer(config, layer, &shapes);
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
    if (!expected.contains(name)) {
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

namespace {

// The first files of BERT call a layer norm's weight and bias gamma and beta.
std::string Renamed(const std::string& name) {
  for (const auto& [old_end, end] :
       {std::pair{"LayerNorm.gamma", "weight"}, std::pair{"LayerNorm.beta", "bias"}}) {
    if (name.ends_with(old_end)) return name.substr(0, name.rfind('.') + 1) + end;
  }
  return name;
}

}  // namespace

std::map<std::string, std::string> StoredNames(const ModelConfig& config,
                                               const TensorInfos& found) {
  const std::string prefix = config.names.embedding.substr(0, config.names.embedding.find('.') + 1);
  const std::string embedding = config.names.embedding + ".weight";
  const bool is_bare =
      !found.contains(embedding) && found.contains(embedding.substr(prefix.size()));
  std::map<std::string, std::string> names;
  for (const auto& [name, info] : found) {
    const bool is_parameter =
        std::ranges::none_of(kNoParameters, [&](auto end) { return name.ends_with(end); }) &&
        std::ranges::none_of(config.names.ignored,
                             [&](const std::string& start) { return name.starts_with(start); });
    const bool is_head = !config.names.head.empty() && name.starts_with(config.names.head + ".");
    if (is_parameter) names[(is_bare && !is_head ? prefix : "") + Renamed(name)] = name;
  }
  for (const std::string& copy : config.names.embedding_copies) {
    const auto found_copy = names.find(copy + ".weight");
    if (found_copy == names.end()) continue;
    names.try_emplace(embedding, found_copy->second);
    names.erase(found_copy);
  }
  // What is tied may be stored under either name.
  const std::string head = config.names.head + ".weight";
  if (config.tied_embeddings && !names.contains(embedding) && names.contains(head)) {
    names[embedding] = names.at(head);
    names.erase(head);
  }
  return names;
}

bool IsOfAttention(ProjectionKind kind) {
  return kind != ProjectionKind::kMlpIn && kind != ProjectionKind::kMlpOut;
}

std::vector<LinearInfo> LinearsOf(const ModelConfig& c, int64_t layer, ProjectionKind kind) {
  const std::string prefix = LayerPrefix(c, layer);
  const auto linears = [&](const std::vector<std::string>& names, std::vector<int64_t> sizes,
                           int64_t in, bool bias) {
    sizes = PartSizes(names, std::move(sizes));
    std::vector<LinearInfo> all;
    for (size_t i = 0; i < names.size(); ++i) {
      if (!names[i].empty()) all.push_back({prefix + names[i], sizes[i], in, bias, kind});
    }
    return all;
  };
  switch (kind) {
    case ProjectionKind::kQkv:
      return linears(c.names.qkv, {c.q_size(), c.kv_size(), c.kv_size()}, c.hidden_size,
                     c.qkv_bias);
    case ProjectionKind::kAttentionOut:
      return linears({c.names.attention_out}, {c.hidden_size}, c.q_size(), c.attention_out_bias);
    case ProjectionKind::kMlpIn:
      return linears(c.names.mlp_in,
                     c.gated ? std::vector<int64_t>{c.intermediate_size, c.intermediate_size}
                             : std::vector<int64_t>{c.intermediate_size},
                     c.hidden_size, c.mlp_bias);
    case ProjectionKind::kMlpOut:
      return linears({c.names.mlp_out}, {c.hidden_size}, c.intermediate_size, c.mlp_bias);
    case ProjectionKind::kCrossQuery:
      return linears({c.names.cross_query}, {c.q_size()}, c.hidden_size, c.qkv_bias);
    case ProjectionKind::kCrossKeyValue:
      return linears(c.names.cross_key_value, {c.kv_size(), c.kv_size()}, c.hidden_size,
                     c.qkv_bias);
    case ProjectionKind::kCrossOut:
      return linears({c.names.cross_out}, {c.hidden_size}, c.q_size(), c.attention_out_bias);
  }
  return {};
}

std::vector<LinearInfo> LinearsOf(const ModelConfig& config, int64_t layer) {
  std::vector<LinearInfo> all;
  for (ProjectionKind kind : kProjectionKinds) {
    for (LinearInfo& linear : LinearsOf(config, layer, kind)) all.push_back(std::move(linear));
  }
  return all;
}

std::vector<LinearInfo> LinearsOf(const ModelConfig& config) {
  std::vector<LinearInfo> all;
  if (config.encoder) all = LinearsOf(*config.encoder);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    for (LinearInfo& linear : LinearsOf(config, layer)) all.push_back(std::move(linear));
  }
  return all;
}

std::vector<std::string> TensorNames(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const auto& [name, shape] : ShapesOf(config)) names.push_back(name);
  return names;
}

std::map<std::string, std::vector<int64_t>> TensorShapes(const ModelConfig& config) {
  return ShapesOf(config);
}

int64_t CountParameters(const ModelConfig& config) {
  int64_t count = 0;
  for (const auto& [name, shape] : ShapesOf(config)) {
    count += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  return count;
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

Status CheckModelTensors(const ModelConfig& config, const TensorInfos& found,
                         const std::string& where) {
  if (!config.tied_embeddings) return CheckTensors(ShapesOf(config), found, where);
  // Some exporters write a tied output projection too: an import checks that it is the embedding.
  TensorInfos used = found;
  used.erase(config.names.head + ".weight");
  if (!config.names.head_bias.empty()) used.erase(config.names.head + ".bias");
  return CheckTensors(ShapesOf(config), used, where);
}

std::map<std::string, std::vector<int64_t>> TensorShapes(const ModelConfig& config,
                                                         const LoraConfig& lora) {
  const Shapes base = ShapesOf(config);
  Shapes shapes;
  for (const LoraModule& module : lora.modules) {
    const Shape& weight = base.at(module.name + ".weight");
    const size_t out = config.transposed_linears ? 1 : 0;
    shapes[LoraTensorName(module.name, "lora_A.weight")] = {module.rank, weight[1 - out]};
    shapes[LoraTensorName(module.name, "lora_B.weight")] = {weight[out], module.rank};
    if (lora.lora_bias) shapes[LoraTensorName(module.name, "lora_B.bias")] = {weight[out]};
    if (lora.dora) shapes[LoraTensorName(module.name, kMagnitude)] = {weight[out]};
  }
  for (const std::string& own : lora.own) shapes[OwnTensorName(lora, own)] = base.at(own);
  return shapes;
}

std::map<std::string, std::vector<int64_t>> TensorShapes(const ModelConfig& config,
                                                         const PromptConfig& prompt) {
  return {{kPromptTensor, {prompt.virtual_tokens, config.hidden_size}}};
}

std::map<std::string, std::vector<int64_t>> NewHeadTensors(const ModelConfig& config,
                                                           TensorInfos* found) {
  const ModelNames& names = config.names;
  found->erase(names.head + ".weight");
  found->erase(names.head_bias);
  Shapes missing;
  for (const auto& [name, shape] : ShapesOf(config)) {
    const bool pooler = !names.pooler.empty() && name.starts_with(names.pooler + ".");
    const bool head = name == names.head + ".weight" || name == names.head_bias;
    if (head || (pooler && !found->contains(name))) missing.emplace(name, shape);
  }
  return missing;
}

Status CheckLoraTensors(const ModelConfig& config, const LoraConfig& lora, const TensorInfos& found,
                        const std::string& where) {
  TensorInfos used = found;
  // peft writes what is tied twice, and of a module that it keeps apart its own bias and the base's
  // again.
  if (config.tied_embeddings) {
    for (const char* tied : {"weight", "bias"}) used.erase(LoraTensorName(config.names.head, tied));
  }
  std::erase_if(used, [](const auto& tensor) {
    return tensor.first.find(".original_module.") != std::string::npos ||
           tensor.first.find(".modules_to_save.") != std::string::npos;
  });
  for (const auto& [name, info] : used) {
    const bool pooler = !config.names.pooler.empty() &&
                        name.starts_with(LoraTensorName(config.names.pooler, "lora_"));
    if (!pooler) continue;
    return InvalidArgument(where + ": " + name +
                           " adapts the pooler, which is not supported: leave it out of "
                           "target_modules, or name it in modules_to_save");
  }
  return CheckTensors(TensorShapes(config, lora), used, where);
}

Status CheckPromptTensors(const ModelConfig& config, const PromptConfig& prompt,
                          const TensorInfos& found, const std::string& where) {
  return CheckTensors(TensorShapes(config, prompt), found, where);
}

}  // namespace attune
