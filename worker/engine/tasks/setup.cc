#include "worker/engine/tasks/setup.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <nlohmann/json.hpp>

#include "worker/engine/adapters/resolve.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/optim/owners.h"
#include "worker/engine/parallel/gather.h"
#include "worker/engine/parallel/pages.h"
#include "worker/engine/tasks/admit_run.h"
#include "worker/engine/tasks/check.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/fisher.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Rank 0 reads a whole checkpoint to verify it, the others wait.
constexpr std::chrono::minutes kVerifySlack{30};
// One host may have the model's files in memory, and another fetch them over the network.
constexpr std::chrono::minutes kLoadSlack{30};

json MethodJson(const Method& method) {
  json config = {{"type", method.type}};
  if (TunesPrompt(method)) {
    config["virtual_tokens"] = method.virtual_tokens;
    if (!method.init_text.empty()) config["init_text"] = method.init_text;
  }
  if (!TrainsLora(method)) return config;
  config.update({{"rank", method.rank},
                 {"alpha", method.alpha},
                 {"dropout", method.dropout},
                 {"target_modules", method.target_modules}});
  // Only where they say something: earlier checkpoints lack these keys.
  if (method.rank_stabilized) config["rank_stabilized"] = true;
  if (method.dora) config["dora"] = true;
  if (method.bias != "none") config["bias"] = method.bias;
  if (!method.layers.empty()) config["layers"] = method.layers;
  if (!method.modules_to_save.empty()) config["modules_to_save"] = method.modules_to_save;
  return config;
}

// What all jobs learned before there were others.
bool IsPlain(const Objective& objective) {
  return KindOf(objective) == ObjectiveKind::kCausalLm;
}

json ObjectiveJson(const Objective& objective) {
  json out = {{"type", objective.type}};
  switch (KindOf(objective)) {
    case ObjectiveKind::kClassification:
      out["labels"] = objective.labels;
      break;
    case ObjectiveKind::kPreference:
      out["beta"] = objective.beta;
      break;
    case ObjectiveKind::kMaskedLm:
      out["mask_share"] = objective.mask_share;
      break;
    case ObjectiveKind::kEmbedding:
      out["scale"] = objective.scale;
      break;
    case ObjectiveKind::kCausalLm:
    case ObjectiveKind::kSeq2seq:
      break;
  }
  return out;
}

// What must be equal for a resumed run to be the same run, apart from the plan. Not the ranks, nor
// how a step is cut into micro-batches.
std::string ConfigOf(const TrainTask& task, const Objective& objective, const PreparedData& data) {
  const OptimizerOptions& o = task.optimizer;
  json config = {{"base", task.data.base.reference},
                 {"method", MethodJson(task.method)},
                 {"precision", task.data.train.precision},
                 {"seed", task.data.train.seed},
                 {"optimizer",
                  {{"name", o.name},
                   {"learning_rate", o.learning_rate},
                   {"weight_decay", o.weight_decay},
                   {"betas", {o.beta1, o.beta2}},
                   {"epsilon", o.epsilon},
                   {"schedule", o.schedule},
                   {"warmup_steps", o.warmup_steps},
                   {"clip_norm", o.clip_norm}}}};
  // Only where they say something: earlier checkpoints lack these keys.
  if (!IsPlain(objective)) config["task"] = ObjectiveJson(objective);
  if (o.name == "sgd") config["optimizer"]["momentum"] = o.momentum;
  if (task.data.train.ema_decay > 0) config["ema_decay"] = task.data.train.ema_decay;
  const RegularizeOptions& regularize = task.regularize;
  if (regularize.type != "none") {
    config["regularize"] = {{"type", regularize.type}, {"strength", regularize.strength}};
  }
  if (regularize.type == "ewc") {
    config["regularize"]["fisher_examples"] = regularize.fisher_examples;
  }
  if (data.drawn) config["data"] = data.key;  // the plan counts examples and tells none apart
  return config.dump(-1, ' ', false, json::error_handler_t::replace);
}

template <typename Bits>
uint64_t AddBits(uint64_t hash, const at::Tensor& tensor) {
  const auto* data = static_cast<const Bits*>(tensor.const_data_ptr());
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    hash = std::rotl(hash, 5) ^ data[i];
    hash *= 0x9e3779b97f4a7c15ULL;
  }
  return hash;
}

// Order-sensitive hash of the tensors' bits: cheap enough for a whole model, and enough to see a
// different file.
uint64_t Fingerprint(const NamedTensors& tensors) {
  uint64_t hash = 0;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor bits = tensor.detach().cpu().contiguous();
    hash = bits.element_size() == 1   ? AddBits<uint8_t>(hash, bits)
           : bits.element_size() == 2 ? AddBits<uint16_t>(hash, bits)
                                      : AddBits<uint32_t>(hash, bits);
  }
  return hash;
}

// With the special tokens that the tokenizer adds, as peft has it.
Result<std::vector<uint32_t>> PromptStart(const TrainTask& task) {
  if (task.method.init_text.empty()) return std::vector<uint32_t>();
  ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets text, LoadModelText(task.data.base));
  ATTUNE_ASSIGN_OR_RETURN(text::Encoding start,
                          text.tokenizer->Encode(task.method.init_text, /*add_special=*/true));
  return std::move(start.ids);
}

Status AddAdapter(const TrainTask& task, LanguageModel& model) {
  const uint64_t seed = task.data.train.seed;
  if (!TunesPrompt(task.method)) return model.AddLora(task.method, seed);
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<uint32_t> start, PromptStart(task));
  return model.AddPrompt(task.method, start, seed);
}

Status LoadModel(const TrainTask& task, const Objective& objective, TrainingSetup& setup) {
  const TrainOptions& train = task.data.train;
  const LoadOptions options{.precision = train.precision,
                            .device = setup.device.str(),
                            .activation_checkpointing = train.activation_checkpointing,
                            .checkpointed_layers = train.checkpointed_layers,
                            .frozen = TrainsAdapter(task.method),
                            .nf4 = task.method.type == "qlora",
                            .encoders = true,
                            .labels = objective.labels,
                            .seed = train.seed};
  ATTUNE_ASSIGN_OR_RETURN(setup.model, LanguageModel::Load(task.data.base, options));
  return TrainsAdapter(task.method) ? AddAdapter(task, *setup.model) : Status();
}

// A model that training starts from, to be held against: its adapter switched off where it has a
// new one, else a copy.
Status LoadReference(const TrainTask& task, TrainingSetup& setup) {
  if (TrainsAdapter(task.method) && task.data.base.format != "peft-adapter") return Status();
  const LoadOptions options{.precision = task.data.train.precision,
                            .device = setup.device.str(),
                            .frozen = true,
                            .nf4 = task.method.type == "qlora"};
  ATTUNE_ASSIGN_OR_RETURN(setup.reference, LanguageModel::Load(task.data.base, options));
  return Status();
}

Status MakeObjective(const TrainTask& task, const Objective& objective, TrainingSetup& setup) {
  ObjectiveParts parts{.objective = objective,
                       .model = *setup.model,
                       .device = setup.device,
                       .global_batch = task.data.train.global_batch};
  if (KindOf(objective) == ObjectiveKind::kMaskedLm) {
    ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets text, LoadModelText(task.data.base));
    ATTUNE_ASSIGN_OR_RETURN(parts.mask_token, MaskToken(text, task.data.base.reference));
  }
  if (KindOf(objective) == ObjectiveKind::kPreference) {
    ATTUNE_RETURN_IF_ERROR(LoadReference(task, setup));
    parts.reference = setup.reference.get();
  }
  setup.objective = MakeObjective(parts);
  return Status();
}

// Every rank says what it has; the first difference is an error on all of them.
Status Agree(const TrainTask& task, const TrainingSetup& setup, Group& group) {
  if (group.world_size() == 1) return Status();
  uint64_t weights = Fingerprint(setup.trainable);
  if (setup.model->has_adapter()) weights ^= Fingerprint(setup.model->BaseParameters());
  const json mine = {{"step plan", setup.plan->Digest()},
                     {"settings", setup.config},
                     {"world size", group.world_size()},
                     {"starting weights", weights}};
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> all,
                          group.Gather(mine.dump(), kLoadSlack));
  const json first = json::parse(all[0], nullptr, false);
  for (size_t rank = 1; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    const json other = json::parse(all[rank], nullptr, false);
    for (const auto& [what, value] : mine.items()) {
      if (first.value(what, json()) == other.value(what, json())) continue;
      return DataLoss("rank " + std::to_string(rank) + " has another " + what +
                      " than rank 0: every host must see the same storage");
    }
  }
  return Status();
}

Status CheckResumed(const CheckpointState& state, const TrainingSetup& setup,
                    const fs::path& path) {
  if (state.plan_format != kPlanFormat) {
    return FailedPrecondition("checkpoint " + path.string() +
                              " was made by a version of the program that planned steps "
                              "otherwise (format " +
                              std::to_string(state.plan_format) + ", here " +
                              std::to_string(kPlanFormat) +
                              "): finish the job with that version, or submit it again");
  }
  const std::string context = "checkpoint " + path.string() + " belongs to another run: ";
  if (state.plan_digest != setup.plan->Digest())
    return FailedPrecondition(context + "its step plan differs");
  if (state.config != setup.config) {
    return FailedPrecondition(context + "its settings are " + state.config + ", this run's are " +
                              setup.config);
  }
  if (state.step > setup.plan->steps()) return FailedPrecondition(context + "it has more steps");
  return Status();
}

// The path of the newest whole checkpoint; empty when there is none.
Result<std::string> ChooseCheckpoint(const TrainTask& task, Observer& observer) {
  observer.OnProgress({.phase = "looking for a checkpoint"});
  bool damaged = false;
  ATTUNE_ASSIGN_OR_RETURN(const auto found, FindCheckpoint(task.resume_from, [&](const Status& s) {
                            damaged = true;
                            observer.OnWarning(s.message() + "; looking for the one before it");
                          }));
  if (found) return found->path.string();
  if (damaged) observer.OnWarning("no whole checkpoint is left; training starts from step 0");
  return std::string();
}

// Rank 0 chooses for all. False when there is nothing to resume from.
Result<bool> Resume(const TrainTask& task, TrainingSetup& setup, Group& group, Observer& observer) {
  if (task.resume_from.empty()) return false;
  Result<std::string> mine = std::string();
  if (group.rank() == 0) mine = ChooseCheckpoint(task, observer);
  ATTUNE_RETURN_IF_ERROR(group.StatusFromFirst(mine.status(), kVerifySlack));
  ATTUNE_ASSIGN_OR_RETURN(const std::string chosen, group.FromFirst(*mine));
  if (chosen.empty()) return false;
  ATTUNE_ASSIGN_OR_RETURN(setup.start, ReadCheckpointState(chosen));
  ATTUNE_RETURN_IF_ERROR(CheckResumed(setup.start, setup, chosen));
  ATTUNE_RETURN_IF_ERROR(LoadCheckpoint(chosen, setup.Tensors()));
  ATTUNE_RETURN_IF_ERROR(group.Sum({0}, kLoadSlack).status());  // until all have read it
  ReturnFreedMemory();
  observer.OnProgress({.phase = "resumes from step " + std::to_string(setup.start.step),
                       .step = setup.start.step,
                       .total_steps = setup.plan->steps()});
  return true;
}

// What every rank has as a whole beside weights and the optimizer's state.
void AddWhole(const TrainingSetup& setup, CheckpointTensors& tensors) {
  auto add = [&](NamedTensors more) {
    std::ranges::move(more, std::back_inserter(tensors.optimizer));
  };
  if (setup.average != nullptr) add(setup.average->State());
  if (setup.penalty != nullptr) add(setup.penalty->Fisher());
}

}  // namespace

CheckpointTensors TrainingSetup::Tensors() const {
  CheckpointTensors tensors{
      .weights_file = model->has_adapter() ? "adapter_model.safetensors" : "model.safetensors",
      .weights = trainable,
      .optimizer = optimizer->State(),
      .optimizer_is_part = !owners.empty()};
  AddWhole(*this, tensors);
  return tensors;
}

Result<CheckpointTensors> TrainingSetup::WholeTensors(Group& group, const fs::path& folder) const {
  CheckpointTensors tensors = Tensors();
  if (owners.empty()) return tensors;
  ATTUNE_ASSIGN_OR_RETURN(tensors.optimizer, GatherOnFirst(group, optimizer->State(), folder));
  AddWhole(*this, tensors);
  return tensors;
}

void AddOptimizer(const TrainTask& task, const Membership& membership, TrainingSetup& setup) {
  const TrainOptions& train = task.data.train;
  NamedTensors own = setup.trainable;
  if (train.shard_optimizer && membership.world_size > 1) {
    std::vector<std::vector<int64_t>> shapes;
    for (const auto& [name, parameter] : own) shapes.push_back(parameter.sizes().vec());
    setup.owners = AssignOwners(task.optimizer, shapes, membership.world_size);
    own.clear();
    for (size_t p = 0; p < setup.owners.size(); ++p) {
      if (setup.owners[p] == membership.rank) own.push_back(setup.trainable[p]);
    }
  }
  setup.optimizer = MakeOptimizer(std::move(own), task.optimizer);
  if (train.ema_decay > 0) {
    setup.average = std::make_unique<WeightAverage>(setup.trainable, train.ema_decay);
  }
}

Status MakeTrainable(const TrainTask& task, const Objective& objective,
                     const Membership& membership, TrainingSetup& setup) {
  setup.trainable = setup.model->TrainableParameters();
  AddOptimizer(task, membership, setup);
  setup.penalty = MakePenalty(task.regularize, setup.trainable);
  ATTUNE_RETURN_IF_ERROR(MakeObjective(task, objective, setup));
  ReturnFreedMemory();
  return Status();
}

Status LoadForTraining(const TrainTask& task, const Objective& objective,
                       const Membership& membership, TrainingSetup& setup) {
  ATTUNE_RETURN_IF_ERROR(LoadModel(task, objective, setup));
  return MakeTrainable(task, objective, membership, setup);
}

std::unique_ptr<Penalty> MakePenalty(const RegularizeOptions& options,
                                     const NamedTensors& parameters) {
  if (options.type == "none") return nullptr;
  return std::make_unique<Penalty>(parameters, options.strength, options.type == "ewc");
}

Result<std::shared_ptr<const StepPlan>> MakePlan(const TrainTask& task, const PreparedData& data) {
  const TrainOptions& train = task.data.train;
  ATTUNE_ASSIGN_OR_RETURN(const Objective objective,
                          ResolveObjective(task.data.objective, task.data.base));
  const ObjectiveKind kind = KindOf(objective);
  // The default of packing knows the task only where it is named.
  const bool counts_examples =
      task.data.objective.type == "auto" && kind != ObjectiveKind::kCausalLm;
  return StepPlan::Make(data.train->lengths(), data.train->target_counts(),
                        {.seed = train.seed,
                         .sequence_length = SequenceCapacity(kind, train.sequence_length),
                         .packing = train.packing && !counts_examples,
                         .global_batch = train.global_batch,
                         .epochs = train.epochs,
                         .max_steps = train.max_steps,
                         .max_tokens = train.max_tokens});
}

Result<TrainingSetup> MakeSetup(const TrainTask& task, Group& group, Observer& observer) {
  observer.OnProgress({.phase = "loading"});
  TrainingSetup setup;
  ATTUNE_ASSIGN_OR_RETURN(setup.device, OpenDevice(group.membership().device));
  ATTUNE_ASSIGN_OR_RETURN(const Objective objective,
                          ResolveObjective(task.data.objective, task.data.base));
  ATTUNE_ASSIGN_OR_RETURN(setup.data, OpenPrepared(task.data));
  ATTUNE_ASSIGN_OR_RETURN(setup.plan, MakePlan(task, setup.data));
  const std::string warning = WarmupWarning(task, setup.plan->steps());
  if (group.rank() == 0 && !warning.empty()) observer.OnWarning(warning);
  setup.config = ConfigOf(task, objective, setup.data);
  ATTUNE_ASSIGN_OR_RETURN(setup.predicted_memory,
                          AdmitRun(task, setup.data, *setup.plan, group, observer));
  ATTUNE_RETURN_IF_ERROR(LoadForTraining(task, objective, group.membership(), setup));
  ATTUNE_RETURN_IF_ERROR(CheckLength(task, setup.model->max_positions()));
  ATTUNE_RETURN_IF_ERROR(Agree(task, setup, group));
  ATTUNE_ASSIGN_OR_RETURN(const bool resumed, Resume(task, setup, group, observer));
  if (!resumed && task.regularize.type == "ewc") {
    ATTUNE_RETURN_IF_ERROR(MeasureFisher(task, setup, group, observer));
  }
  return setup;
}

}  // namespace attune::engine
