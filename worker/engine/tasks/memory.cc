#include "worker/engine/tasks/memory.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace attune::engine {
namespace {

using nlohmann::json;

constexpr int64_t kFloat = 4;
// Code of libtorch, threads, tokenizer, network buffers: resident size of a trainer before it has a
// model.
constexpr int64_t kProcess = 260 << 20;
// Rows of logits that exist at a time (CausalLM::LossSum), and copies of them in backward.
constexpr int64_t kLogitRows = 256;
constexpr int64_t kLogitCopies = 3;

// The module of "model.layers.0.self_attn.q_proj.weight" is "q_proj"; empty when it is no linear
// layer of a block.
std::string LinearModule(const std::string& name, const TensorInfo& info) {
  constexpr std::string_view kSuffix = ".weight";
  if (info.shape.size() != 2 || !name.ends_with(kSuffix) ||
      name.find(".layers.") == std::string::npos)
    return "";
  const std::string path = name.substr(0, name.size() - kSuffix.size());
  return path.substr(path.rfind('.') + 1);
}

bool IsTarget(const std::string& module, const std::vector<std::string>& targets) {
  return !module.empty() &&
         std::any_of(targets.begin(), targets.end(), [&](const std::string& target) {
           return target == "all-linear" || target == module;
         });
}

int64_t LoraParameters(const std::map<std::string, TensorInfo>& tensors, const Method& method) {
  int64_t count = 0;
  for (const auto& [name, info] : tensors) {
    if (IsTarget(LinearModule(name, info), method.target_modules)) {
      count += method.rank * (info.shape[0] + info.shape[1]);
    }
  }
  return count;
}

// Floats that one token leaves in one layer for backward: inputs of the two norms and of the four
// groups of matrices, queries, keys, values, attention's output, gate, up and their product; LoRA
// adds its rank a module.
int64_t ActivationsPerToken(const ModelShape& model, const Method& method) {
  const int64_t residual = 7 * model.hidden;
  const int64_t attention = 2 * (model.hidden + 2 * model.key_value_width);
  const int64_t feed_forward = 4 * model.intermediate;
  const int64_t lora = method.type == "lora" ? 7 * method.rank : 0;
  return residual + attention + feed_forward + lora;
}

int64_t Activations(const ModelShape& model, const MicroBatchShape& batch, const TrainTask& task) {
  const int64_t per_token = ActivationsPerToken(model, task.method);
  const bool half = task.data.train.precision == "bfloat16";
  const int64_t width = half ? 2 : kFloat;
  // With checkpointing a layer keeps its input, and one layer at a time is recomputed.
  const int64_t layers = task.data.train.activation_checkpointing
                             ? model.layers * model.hidden + per_token
                             : model.layers * per_token;
  const int64_t logits =
      std::min(batch.targets, kLogitRows) * model.vocabulary * kFloat * kLogitCopies;
  return batch.tokens * layers * width + logits;
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
  shape.key_value_width = head * number("num_key_value_heads", shape.attention_heads);
  const bool tied = config.value("tie_word_embeddings", json(false)) == json(true);
  for (const auto& [name, info] : tensors) {
    if (tied && name == "lm_head.weight") continue;
    shape.parameters += info.elements();
  }
  shape.trainable_parameters =
      method.type == "lora" ? LoraParameters(tensors, method) : shape.parameters;
  if (method.type == "lora") shape.parameters += shape.trainable_parameters;
  return shape;
}

MemoryPrediction PredictMemory(const ModelShape& model, const MicroBatchShape& batch,
                               const TrainTask& task, int world_size) {
  MemoryPrediction memory;
  memory.weights = model.parameters * kFloat;
  memory.gradients = model.trainable_parameters * kFloat;
  memory.optimizer = model.trainable_parameters * 2 * kFloat;
  memory.activations = Activations(model, batch, task);
  memory.overhead = kProcess;
  // bfloat16 computes with a copy of the weights.
  if (task.data.train.precision == "bfloat16") memory.overhead += model.parameters * 2;
  return memory;
}

}  // namespace attune::engine
