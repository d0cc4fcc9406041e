#include "worker/engine/tasks/memory.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "worker/engine/adapters/resolve.h"

namespace attune::engine {
namespace {

using nlohmann::json;

constexpr int64_t kFloat = 4, kHalf = 2;
// Resident size of a process before it has a model: libtorch, tokenizer, threads, network buffers.
constexpr int64_t kProcess = 200 << 20;
// The loss makes its logits in chunks of at most so many bytes.
constexpr int64_t kLogitBytes = 56 << 20;

// Full names ("model.layers.0.self_attn.q_proj") of the blocks' linear layers, with their tensors.
std::map<std::string, const TensorInfo*> LinearModules(
    const std::map<std::string, TensorInfo>& tensors) {
  constexpr std::string_view kSuffix = ".weight";
  std::map<std::string, const TensorInfo*> modules;
  for (const auto& [name, info] : tensors) {
    if (info.shape.size() == 2 && name.ends_with(kSuffix) &&
        name.find(".layers.") != std::string::npos) {
      modules.emplace(name.substr(0, name.size() - kSuffix.size()), &info);
    }
  }
  return modules;
}

Result<int64_t> LoraParameters(const std::map<std::string, TensorInfo>& tensors,
                               const Method& method) {
  const std::map<std::string, const TensorInfo*> modules = LinearModules(tensors);
  std::vector<std::string> names;
  for (const auto& [name, info] : modules) names.push_back(name);
  ATTUNE_ASSIGN_OR_RETURN(const LoraConfig lora, ResolveLora(method, names));
  int64_t count = 0;
  for (const std::string& name : lora.modules) {
    const TensorInfo& info = *modules.at(name);
    count += lora.rank * (info.shape[0] + info.shape[1]);
  }
  return count;
}

// Floats that a token leaves in a layer for backward: the inputs of both halves and attention's
// output, queries, keys and values, gate and up, what the softmaxes and norms keep; of LoRA the
// rank of each of 7 modules.
int64_t KeptPerToken(const ModelShape& model, const Method& method) {
  const int64_t lora = method.type == "lora" ? 7 * method.rank : 0;
  return 2 * model.hidden + 2 * model.query_width + 2 * model.key_value_width +
         2 * model.intermediate + model.attention_heads + 2 + lora;
}

// Floats of a token that live only while backward is in its layer.
int64_t PassingPerToken(const ModelShape& model) {
  return 4 * model.hidden + 6 * model.intermediate;
}

// On the CPU what is bfloat16 passes as a float32 copy, too.
int64_t PassingWidth(bool half) {
  return half ? kHalf + kFloat : kFloat;
}

int64_t LayerActivations(const ModelShape& model, const MicroBatchShape& batch,
                         const TrainTask& task) {
  const int64_t kept = KeptPerToken(model, task.method);
  const int64_t passing = PassingPerToken(model);
  const bool half = task.data.train.precision == "bfloat16";
  // With checkpointing a layer keeps its input only, and is run again when backward comes to it;
  // what passed in its forward is a hole in the heap by then.
  const int64_t all_layers = task.data.train.activation_checkpointing
                                 ? model.layers * model.hidden + kept + passing
                                 : model.layers * kept;
  // What passes leaves holes among what is kept: about a tenth of it.
  const int64_t kept_bytes = (all_layers + all_layers / 10) * (half ? kHalf : kFloat);
  return batch.tokens * (kept_bytes + passing * PassingWidth(half));
}

int64_t Activations(const ModelShape& model, const MicroBatchShape& batch, const TrainTask& task) {
  const bool half = task.data.train.precision == "bfloat16";
  const int64_t logits = std::min(batch.targets * model.vocabulary * kFloat, kLogitBytes) / kFloat *
                         PassingWidth(half);
  int64_t bytes = LayerActivations(model, batch, task) + logits;
  if (task.method.type == "lora") return bytes;
  bytes += model.vocabulary * model.hidden * kFloat;  // the head's gradient, made with the loss
  if (batch.micro_batches_max > 1) return bytes;
  // With one micro-batch a step, gradients grow while activations go: only what is more than them
  // adds to the peak.
  const int64_t passing = batch.tokens * kFloat * PassingPerToken(model);
  return std::max(passing, bytes - model.trainable_parameters * kFloat);
}

}  // namespace

Result<ModelShape> ShapeOf(const std::map<std::string, TensorInfo>& tensors,
                           const std::string& config_json, const Method& method) {
  const json config = json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  auto number = [&](const char* key, int64_t otherwise) -> int64_t {
    if (!config.is_object() || !config.contains(key) || !config[key].is_number_integer())
      return otherwise;
    return config[key].get<int64_t>();
  };
  ModelShape shape{.layers = number("num_hidden_layers", 0),
                   .hidden = number("hidden_size", 0),
                   .intermediate = number("intermediate_size", 0),
                   .attention_heads = number("num_attention_heads", 0),
                   .vocabulary = number("vocab_size", 0)};
  if (shape.layers < 1 || shape.hidden < 1 || shape.intermediate < 1 || shape.attention_heads < 1) {
    return InvalidArgument(
        "the model's configuration lacks num_hidden_layers, hidden_size, intermediate_size or "
        "num_attention_heads");
  }
  const int64_t head = number("head_dim", shape.hidden / shape.attention_heads);
  shape.query_width = head * shape.attention_heads;
  shape.key_value_width = head * number("num_key_value_heads", shape.attention_heads);
  const bool tied = config.value("tie_word_embeddings", json(false)) == json(true);
  for (const auto& [name, info] : tensors) {
    if (tied && name == "lm_head.weight") continue;
    shape.parameters += info.elements();
  }
  shape.trainable_parameters = shape.parameters;
  if (method.type == "lora") {
    ATTUNE_ASSIGN_OR_RETURN(shape.trainable_parameters, LoraParameters(tensors, method));
    shape.parameters += shape.trainable_parameters;
  }
  return shape;
}

MemoryPrediction PredictMemory(const ModelShape& model, const MicroBatchShape& batch,
                               const TrainTask& task) {
  const bool frozen_half = task.method.type == "lora" && task.data.train.precision == "bfloat16";
  const int64_t frozen =
      task.method.type == "lora" ? model.parameters - model.trainable_parameters : 0;
  MemoryPrediction memory;
  memory.weights = model.trainable_parameters * kFloat;
  memory.weights += task.method.type == "lora" ? frozen * (frozen_half ? kHalf : kFloat) : 0;
  memory.gradients = model.trainable_parameters * kFloat;
  memory.optimizer = model.trainable_parameters * 2 * kFloat;
  const std::string& regularize = task.regularize.type;  // keeps w0, and for ewc the Fisher too
  const int64_t copies = regularize == "ewc" ? 2 : regularize == "l2-sp" ? 1 : 0;
  memory.regularize = model.trainable_parameters * copies * kFloat;
  memory.activations = Activations(model, batch, task);
  memory.overhead = kProcess;
  return memory;
}

}  // namespace attune::engine
