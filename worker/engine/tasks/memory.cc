#include "worker/engine/tasks/memory.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "common/model/adapter_labels.h"
#include "common/model/tensor_shapes.h"
#include "common/model/tensors.h"
#include "worker/engine/adapters/resolve.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/optim/owners.h"
#include "worker/engine/optim/state_bytes.h"
#include "worker/engine/tasks/origin.h"

namespace attune::engine {
namespace {

constexpr int64_t kFloat = 4, kHalf = 2;
constexpr int64_t kNf4BitsPerThousand = 4127;  // of 1,000 numbers: kernels/nf4.h
// Resident size of a process before it has a model: libtorch, tokenizer, threads, network buffers.
constexpr int64_t kProcess = 200 << 20;
// The loss makes its logits in chunks of at most so many numbers (kernels/cross_entropy.cc).
constexpr int64_t kLogits = 14 << 20, kGpuLogits = 128 << 20;

using Shapes = std::vector<std::vector<int64_t>>;

int64_t CountElements(const Shapes& shapes) {
  int64_t count = 0;
  for (const auto& shape : shapes) {
    count += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  return count;
}

// Of the rank that has most.
int64_t OptimizerBytes(const ModelShape& model, const TrainTask& task, int world_size) {
  const int parts = task.data.train.shard_optimizer ? world_size : 1;
  const std::vector<int> owners = AssignOwners(task.optimizer, model.trainable, parts);
  std::vector<int64_t> bytes(parts, 0);
  for (size_t p = 0; p < owners.size(); ++p) {
    bytes[owners[p]] += StateBytes(task.optimizer, model.trainable[p]);
  }
  return std::ranges::max(bytes);
}

// What an MLP's first projection gives a token: gate and up, or up alone.
int64_t MlpWidth(const ModelConfig& config) {
  return (config.gated ? 2 : 1) * config.intermediate_size;
}

// Floats that a token leaves in a layer for backward: the inputs of both halves and attention's
// output, queries, keys and values, gate and up, what the softmaxes and norms keep; where halves
// have norms behind them what these read; of attention to an encoder's rows its input, queries and
// output; of LoRA the rank of each linear layer.
int64_t KeptPerToken(const ModelConfig& model, const Method& method) {
  const int64_t linears = static_cast<int64_t>(LinearsOf(model, 0).size());
  int64_t lora = TrainsLora(method) ? linears * method.rank : 0;
  if (TrainsLora(method) && method.dora) {  // what magnitudes scale
    for (const LinearInfo& linear : LinearsOf(model, 0)) lora += linear.out;
  }
  const int64_t behind = (model.names.attention_after_norm.empty() ? 0 : model.hidden_size) +
                         (model.names.mlp_after_norm.empty() ? 0 : model.hidden_size);
  const int64_t cross =
      model.names.cross_out.empty() ? 0 : model.hidden_size + 2 * model.q_size() + model.heads + 1;
  return 2 * model.hidden_size + 2 * model.q_size() + 2 * model.kv_size() + MlpWidth(model) +
         model.heads + 2 + behind + cross + lora;
}

// Floats of a token that live only while backward is in its layer.
int64_t PassingPerToken(const ModelConfig& model) {
  return 4 * model.hidden_size + 3 * MlpWidth(model);
}

// On the CPU what is bfloat16 passes as a float32 copy, too.
int64_t PassingWidth(bool half, bool gpu) {
  return half ? kHalf + (gpu ? 0 : kFloat) : kFloat;
}

int64_t CheckpointedLayers(const ModelConfig& stack, const TrainOptions& train) {
  if (!train.activation_checkpointing) return 0;
  return train.checkpointed_layers == 0
             ? stack.layers
             : std::min<int64_t>(train.checkpointed_layers, stack.layers);
}

int64_t StackActivations(const ModelConfig& model, int64_t tokens, const TrainTask& task,
                         bool gpu) {
  const int64_t kept = KeptPerToken(model, task.method);
  const int64_t passing = PassingPerToken(model);
  const bool half = task.data.train.precision == "bfloat16";
  // With checkpointing a layer keeps its input only, and is run again when backward comes to it;
  // what passed in its forward is a hole in the heap by then.
  const int64_t again = CheckpointedLayers(model, task.data.train);
  const int64_t all_layers =
      again * model.hidden_size + (model.layers - again) * kept + (again > 0 ? kept + passing : 0);
  // What passes leaves holes among what is kept: about a tenth of it.
  const int64_t kept_bytes = (all_layers + all_layers / 10) * (half ? kHalf : kFloat);
  return tokens * (kept_bytes + passing * PassingWidth(half, gpu));
}

// Whether some layer's attention holds one example's scores at a time: where distances have a bias,
// and on a GPU where it is not fused (kernels/attention_gpu.h).
bool HoldsScores(const ModelConfig& model, int64_t longest, bool gpu) {
  if (model.distances.buckets > 0) return true;
  const bool windowed = std::ranges::any_of(
      model.windows, [&](int64_t window) { return window > 0 && window < longest; });
  return gpu && (!model.causal || model.attention_softcap > 0 || windowed);
}

// Of one example, in the backward of a layer: scores, what becomes of them, and their gradients.
int64_t ScoreBytes(const ModelConfig& model, const MicroBatchShape& batch, const TrainTask& task,
                   bool gpu) {
  constexpr int64_t kCopies = 5;
  // An encoder-decoder has a source's tokens, or an answer's.
  const int64_t tokens =
      model.encoder ? std::max(batch.tokens - batch.targets, batch.targets) : batch.tokens;
  int64_t longest = std::min<int64_t>(tokens, task.data.train.sequence_length);
  if (batch.longest > 0) longest = std::min(longest, batch.longest);
  return HoldsScores(model, longest, gpu) ? kCopies * model.heads * longest * longest * kFloat : 0;
}

// An encoder-decoder's tokens go through one stack each: sources through the encoder, answers, all
// of which are targets, through the decoder. Each of the decoder's layers has keys and values of
// the sources.
int64_t LayerActivations(const ModelConfig& model, const MicroBatchShape& batch,
                         const TrainTask& task, bool gpu) {
  if (!model.encoder) return StackActivations(model, batch.tokens, task, gpu);
  const int64_t sources = batch.tokens - batch.targets;
  const int64_t again = CheckpointedLayers(model, task.data.train);
  const int64_t layers = model.layers - again + (again > 0 ? 1 : 0);
  const int64_t width = task.data.train.precision == "bfloat16" ? kHalf : kFloat;
  return StackActivations(*model.encoder, sources, task, gpu) +
         StackActivations(model, batch.targets, task, gpu) +
         sources * layers * 2 * model.kv_size() * width;
}

// Adafactor makes the scaled gradient of a weight, its square and the direction.
int64_t UpdateBytes(const ModelShape& model, const OptimizerOptions& optimizer) {
  if (optimizer.name != "adafactor") return 0;
  int64_t largest = 0;
  for (const auto& shape : model.trainable) largest = std::max(largest, CountElements({shape}));
  return 3 * largest * kFloat;
}

int64_t Activations(const ModelShape& shape, const MicroBatchShape& batch, const TrainTask& task,
                    bool gpu) {
  const ModelConfig& model = shape.config;
  const bool half = task.data.train.precision == "bfloat16";
  const int64_t outputs = model.head == HeadKind::kNone ? 0 : model.outputs();
  // A cap has its slope beside it, and both in float32.
  const int64_t logits = std::min(batch.targets * outputs, gpu ? kGpuLogits : kLogits) *
                         (PassingWidth(half, gpu) + (model.logit_softcap > 0 ? 2 * kFloat : 0));
  // Logits are gone when backward comes to the layers.
  int64_t bytes = LayerActivations(model, batch, task, gpu) +
                  std::max(logits, ScoreBytes(model, batch, task, gpu));
  if (!shape.head_trains) return bytes;
  // The gradient of the embedding, or of the head that it is, which is made apart; or what is made
  // to update the largest weight, which comes later.
  const int64_t apart = TrainsAdapter(task.method) ? outputs : model.vocabulary_size;
  bytes += std::max(apart * model.hidden_size * kFloat, UpdateBytes(shape, task.optimizer));
  if (batch.micro_batches_max > 1) return bytes;
  // With one micro-batch a step, gradients grow while activations go: only what is more than them
  // adds to the peak.
  const int64_t passing = batch.tokens * kFloat * PassingPerToken(model);
  return std::max(passing, bytes - shape.trainable_parameters * kFloat);
}

// In the type of the computation, or in 4 bits what NF4 takes and the largest product's weight,
// which is made for it.
int64_t FrozenBytes(const ModelShape& model, const TrainTask& task) {
  if (!TrainsAdapter(task.method)) return 0;
  const int64_t frozen = model.parameters - model.trainable_parameters;
  const int64_t width = task.data.train.precision == "bfloat16" ? kHalf : kFloat;
  if (task.method.type != "qlora") return frozen * width;
  int64_t linear = 0, largest = 0;
  for (const LinearInfo& layer : LinearsOf(model.config)) linear += layer.in * layer.out;
  for (const ProjectionKind kind : {ProjectionKind::kQkv, ProjectionKind::kAttentionOut,
                                    ProjectionKind::kMlpIn, ProjectionKind::kMlpOut}) {
    int64_t together = 0;
    for (const LinearInfo& layer : LinearsOf(model.config, 0, kind))
      together += layer.in * layer.out;
    largest = std::max(largest, together);
  }
  return (frozen - linear + largest) * width + linear * kNf4BitsPerThousand / 8000;
}

// Whether the head, or the embedding that it is, trains with an adapter.
bool HasOwnHead(const AdapterConfig& adapter, const ModelConfig& model) {
  const LoraConfig* lora = std::get_if<LoraConfig>(&adapter);
  const std::string& head = model.tied_embeddings ? model.names.embedding : model.names.head;
  return lora != nullptr && std::ranges::find(lora->own, head + ".weight") != lora->own.end();
}

}  // namespace

Result<ModelConfig> ReadTrainedConfig(const TrainTask& task) {
  const std::filesystem::path& path = RootOf(task.data.base).path;
  ATTUNE_ASSIGN_OR_RETURN(const std::string json, ReadModelConfig(path));
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config,
                          ParseModelConfig(json, path.string() + ": config.json"));
  ATTUNE_ASSIGN_OR_RETURN(const Objective objective,
                          ResolveObjective(task.data.objective, task.data.base));
  return WithLabels(config, objective.labels);
}

int64_t VirtualTokens(const TrainTask& task) {
  if (!TunesPrompt(task.method)) return 0;
  return task.method.virtual_tokens * (task.data.objective.type == "preference" ? 2 : 1);
}

Result<ModelShape> ShapeOf(ModelConfig config, const Method& method) {
  ModelShape shape;
  shape.parameters = CountParameters(config);
  if (TrainsAdapter(method)) {
    ATTUNE_ASSIGN_OR_RETURN(const AdapterConfig adapter, ResolveAdapter(method, config));
    for (auto& [name, own] : AdapterTensorShapes(config, adapter)) shape.trainable.push_back(own);
    shape.parameters += CountElements(shape.trainable);
    shape.head_trains = HasOwnHead(adapter, config);
  } else {
    for (auto& [name, whole] : TensorShapes(config)) shape.trainable.push_back(whole);
  }
  shape.trainable_parameters = CountElements(shape.trainable);
  shape.config = std::move(config);
  return shape;
}

MemoryPrediction PredictMemory(const ModelShape& model, const MicroBatchShape& batch,
                               const TrainTask& task, const RankKind& rank) {
  MemoryPrediction memory;
  memory.weights = model.trainable_parameters * kFloat + FrozenBytes(model, task);
  if (task.data.train.ema_decay > 0) memory.weights += model.trainable_parameters * kFloat;
  const bool goes_on = task.data.base.format == "peft-adapter";  // with an adapter that is there
  if (task.data.objective.type == "preference" && (goes_on || !TrainsAdapter(task.method))) {
    // The model that training starts from, to be held against.
    const bool half = task.data.train.precision == "bfloat16";
    memory.weights += model.parameters * (half ? kHalf : kFloat);
  }
  memory.gradients = model.trainable_parameters * kFloat;
  memory.optimizer = OptimizerBytes(model, task, rank.world_size);
  const std::string& regularize = task.regularize.type;  // keeps w0, and for ewc the Fisher too
  const int64_t copies = regularize == "ewc" ? 2 : regularize == "l2-sp" ? 1 : 0;
  memory.regularize = model.trainable_parameters * copies * kFloat;
  memory.activations = Activations(model, batch, task, rank.gpu);
  memory.overhead = kProcess;
  return memory;
}

}  // namespace attune::engine
