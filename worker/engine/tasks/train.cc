#include <ATen/Parallel.h>
#include <malloc.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/version.h"
#include "common/model/side_files.h"
#include "worker/engine/checkpoint/writer.h"
#include "worker/engine/eval/evaluate.h"
#include "worker/engine/parallel/pages.h"
#include "worker/engine/tasks/check.h"
#include "worker/engine/tasks/ending.h"
#include "worker/engine/tasks/failure.h"
#include "worker/engine/tasks/ledger.h"
#include "worker/engine/tasks/model_card.h"
#include "worker/engine/tasks/origin.h"
#include "worker/engine/tasks/output.h"
#include "worker/engine/tasks/setup.h"
#include "worker/engine/tasks/step.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The others wait while rank 0 writes to a slow disk. A rank 0 that dies is noticed at once all the
// same.
constexpr std::chrono::minutes kWriteSlack{30};

// One run on one rank: evaluates, steps, evaluates, writes.
class Trainer {
 public:
  Trainer(const TrainTask& task, Fence fence, TrainingSetup setup, Group& group, Observer& observer)
      : task_(task),
        fence_(std::move(fence)),
        setup_(std::move(setup)),
        group_(group),
        observer_(observer),
        runner_(task, setup_, group),
        state_(setup_.start),
        total_steps_(setup_.plan->steps()),
        writer_(Checkpoints(), task.checkpoint.keep, fence_) {
    state_.seed = task.data.train.seed;
    state_.plan_digest = setup_.plan->Digest();
    state_.plan_format = kPlanFormat;
    state_.generation = task.generation;
    state_.config = setup_.config;
    // What was resumed from is not written again: a crash on the way would cost the only one.
    if (state_.step > 0) checkpoint_ = state_.step;
    const TokenShard& shard = EvaluationShard();
    const int together = setup_.objective->examples_together();
    validation_ = EvaluationGroups(
        shard, task.evaluate.max_examples,
        together > 0 ? std::numeric_limits<int64_t>::max() : task.data.train.sequence_length,
        together);
  }

  Result<TrainResult> Run() {
    Result<TrainResult> result = Guarded([this] { return RunToEnd(); });
    // Where another error ended the run, what was being written is still good to resume from.
    if (writer_.pending()) ReportCheckpoint(writer_.Finish());
    return result;
  }

 private:
  Result<TrainResult> RunToEnd() {
    ATTUNE_RETURN_IF_ERROR(CheckMeasurable());
    ATTUNE_RETURN_IF_ERROR(OpenLedger());
    if (OwesEvaluation()) {
      ATTUNE_ASSIGN_OR_RETURN(const StopRequest stop, Evaluate());
      if (stop != StopRequest::kNone) return Stop(stop);
      if (state_.step == 0) state_.first_validation_loss = state_.last_validation_loss;
    }
    while (state_.step < total_steps_) {
      ATTUNE_RETURN_IF_ERROR(SeeWhetherItEnds());
      if (!ended_.empty()) break;
      ATTUNE_ASSIGN_OR_RETURN(const StopRequest stop, Step());
      if (stop != StopRequest::kNone) return Stop(stop);
    }
    // What is still to come may fail for want of space; then no step is done again.
    ATTUNE_RETURN_IF_ERROR(FinishCheckpoint());
    if (checkpoint_ != state_.step) ATTUNE_RETURN_IF_ERROR(StartCheckpoint());
    if (!state_.last_validation_loss) {
      ATTUNE_ASSIGN_OR_RETURN(const StopRequest stop, Evaluate());
      if (stop != StopRequest::kNone) return Stop(stop);
    }
    ATTUNE_RETURN_IF_ERROR(FinishCheckpoint());
    ATTUNE_RETURN_IF_ERROR(WriteOutput());
    return TrainResult{.steps = state_.step,
                       .final_loss = state_.loss,
                       .first_validation_loss = state_.first_validation_loss,
                       .final_validation_loss = OutputLoss(),
                       .final_validation_accuracy = OutputAccuracy(),
                       .output = Output()};
  }

  fs::path Output() const { return task_.run_directory / "output"; }
  fs::path Checkpoints() const { return task_.run_directory / "checkpoints"; }
  // The weights of the best evaluation, and of the one before it: where a run goes on from an
  // earlier checkpoint, that is the best that it knows.
  fs::path Best() const { return task_.run_directory / "best"; }
  bool KeepsBest() const { return task_.evaluate.keep_best; }
  std::optional<double> OutputLoss() const {
    return KeepsBest() ? state_.best_validation_loss : state_.last_validation_loss;
  }
  std::optional<double> OutputAccuracy() const {
    return KeepsBest() ? state_.best_validation_accuracy : state_.last_validation_accuracy;
  }
  const TokenShard& EvaluationShard() const {
    return task_.evaluate.split == "train" ? *setup_.data.train : *setup_.data.validation;
  }

  void Report(const char* phase, double done, double total) {
    observer_.OnProgress({.phase = phase,
                          .done = done,
                          .total = total,
                          .step = state_.step,
                          .total_steps = total_steps_});
  }

  Status CheckMeasurable() const;
  // The one before the first step, or one that a stop came before.
  bool OwesEvaluation() const;
  Status OpenLedger();  // collective
  // Collective, where anything but the plan may end the run; sets ended_.
  Status SeeWhetherItEnds();
  Result<StopRequest> Step();
  Result<TrainResult> Stop(StopRequest stop);
  Result<StopRequest> Evaluate();  // unless it was stopped
  Result<EvaluatedLoss> MeasureLoss();
  Status SaveBest();
  // Puts the weights of the best evaluation in place of the last ones; on rank 0. An error is what
  // cannot be read now; what is lost is warned about.
  Status LoadBest();
  // It is written while the next step runs up to its update, which waits for it.
  // Collective.
  Status StartCheckpoint();
  // Waits for the one that was started, if any; collective.
  Status FinishCheckpoint();
  void ReportCheckpoint(const Result<fs::path>& written);
  Status WriteOutput();
  Status WriteOrigin(const fs::path& folder);
  Result<json> AttuneJson() const;

  const TrainTask& task_;
  const Fence fence_;  // of rank 0, the only one that writes
  TrainingSetup setup_;
  Group& group_;
  Observer& observer_;
  StepRunner runner_;
  CheckpointState state_;
  const int total_steps_;
  const double seconds_before_ = state_.seconds;  // of earlier attempts
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::string ended_;  // why the run ended before its plan; empty: it did not
  std::vector<Sequence> validation_;
  std::optional<ledger::StepLogWriter> log_;       // on rank 0
  Status log_status_;                              // of its last Sync
  CheckpointWriter writer_;                        // on rank 0
  int started_checkpoint_ = -1, checkpoint_ = -1;  // steps: not yet finished, last
};

bool IsDue(int every_steps, int step) {
  return every_steps > 0 && step % every_steps == 0;
}

bool Trainer::OwesEvaluation() const {
  return state_.step == 0 || (!state_.last_validation_loss && state_.step < total_steps_ &&
                              IsDue(task_.evaluate.every_steps, state_.step));
}

Status Trainer::CheckMeasurable() const {
  if (task_.evaluate.metric == "accuracy" && !setup_.objective->counts_right()) {
    return InvalidArgument(
               "evaluate.metric: this task has no accuracy, as classification, embedding and "
               "preference have: use loss")
        .WithField("evaluate.metric");
  }
  if (!validation_.empty()) return Status();
  for (const auto& [asked, key] : {std::pair(task_.evaluate.patience > 0, "evaluate.patience"),
                                   std::pair(KeepsBest(), "evaluate.keep_best")}) {
    if (!asked) continue;
    return InvalidArgument(std::string(key) +
                           " goes by evaluations, and the data has no validation examples")
        .WithField(key);
  }
  return Status();
}

// Rank 0 decides for all: clocks differ.
Status Trainer::SeeWhetherItEnds() {
  if (task_.data.train.max_seconds == 0 && task_.evaluate.patience == 0) return Status();
  ATTUNE_ASSIGN_OR_RETURN(ended_, group_.FromFirst(EndReason(task_, state_)));
  if (ended_.empty() || group_.rank() != 0) return Status();
  observer_.OnWarning("training ended after step " + std::to_string(state_.step) + " of " +
                      std::to_string(total_steps_) + ": " + ended_);
  return Status();
}

Status Trainer::OpenLedger() {
  Status status;
  if (group_.rank() == 0) {
    auto log = engine::OpenLedger(task_, setup_, fence_, group_.world_size());
    status = log.status();
    if (log.ok() && *log) log_.emplace(*std::move(*log));
  }
  return group_.StatusFromFirst(status, kWriteSlack);
}

Result<StopRequest> Trainer::Step() {
  ATTUNE_ASSIGN_OR_RETURN(
      const StepRunner::Outcome outcome,
      runner_.Run(state_.step, observer_.ShouldStop(), [this] { return FinishCheckpoint(); }));
  const StepReport& report = outcome.report;
  if (log_) {
    const ledger::ExampleSum fed{report.examples, report.examples_digest};
    ATTUNE_RETURN_IF_ERROR(log_->Add({static_cast<uint32_t>(report.step), fed}));
  }
  state_.step = report.step;
  state_.loss = report.loss;
  state_.last_validation_loss.reset();
  state_.last_validation_accuracy.reset();
  state_.seconds = seconds_before_ +
                   std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  observer_.OnStep(report);
  Report("training", state_.step, total_steps_);
  if (outcome.stop != StopRequest::kNone) return outcome.stop;
  if (IsDue(task_.evaluate.every_steps, state_.step)) {
    ATTUNE_ASSIGN_OR_RETURN(const StopRequest stop, Evaluate());
    if (stop != StopRequest::kNone) return stop;
  }
  if (IsDue(task_.checkpoint.every_steps, state_.step)) {
    ATTUNE_RETURN_IF_ERROR(StartCheckpoint());
  }
  return StopRequest::kNone;
}

Result<TrainResult> Trainer::Stop(StopRequest stop) {
  std::string message = "stopped as asked after step " + std::to_string(state_.step);
  ATTUNE_RETURN_IF_ERROR(FinishCheckpoint());
  if (stop == StopRequest::kCheckpointAndStop) {
    if (checkpoint_ != state_.step) ATTUNE_RETURN_IF_ERROR(StartCheckpoint());
    ATTUNE_RETURN_IF_ERROR(FinishCheckpoint());
    message += ", with a checkpoint";
  }
  return Cancelled(message);
}

Result<EvaluatedLoss> Trainer::MeasureLoss() {
  setup_.model->SetTraining(false, 0);
  return EvaluateLoss(
      *setup_.objective, EvaluationShard(), validation_, group_,
      [this](double done, double total) { Report("evaluating", done, total); },
      [this] { return observer_.ShouldStop(); });
}

Result<StopRequest> Trainer::Evaluate() {
  if (validation_.empty()) return StopRequest::kNone;
  Report("evaluating", 0, 1);
  if (setup_.average != nullptr) {
    // A checkpoint is written from where the weights are.
    ATTUNE_RETURN_IF_ERROR(FinishCheckpoint());
    setup_.average->Swap();
  }
  const Result<EvaluatedLoss> measured = MeasureLoss();
  if (setup_.average != nullptr) setup_.average->Swap();
  ATTUNE_ASSIGN_OR_RETURN(const EvaluatedLoss loss, measured);
  ReturnFreedMemory();
  if (loss.stop != StopRequest::kNone) return loss.stop;
  EvaluationReport report{.step = state_.step, .loss = loss.mean(), .target_tokens = loss.units};
  if (setup_.objective->counts_right()) {
    report.accuracy = static_cast<double>(loss.right) / static_cast<double>(loss.units);
  }
  observer_.OnEvaluation(report);
  const bool is_best = NoteEvaluation(task_.evaluate, report, state_);
  if (is_best && KeepsBest()) ATTUNE_RETURN_IF_ERROR(SaveBest());
  return StopRequest::kNone;
}

Status Trainer::SaveBest() {
  Report("saving", 0, 1);
  Status status;
  if (group_.rank() == 0) {
    const CheckpointTensors tensors{.weights_file = setup_.Tensors().weights_file,
                                    .weights = setup_.Outcome()};
    status = WriteCheckpoint(Best(), state_, tensors, /*keep=*/2, fence_).status();
  }
  return group_.StatusFromFirst(status, kWriteSlack);
}

Status Trainer::LoadBest() {
  fs::path best = CheckpointPath(Best(), state_.best_step);
  Status whole = VerifyCheckpoint(best).status();
  if (whole.code() == StatusCode::kDataLoss) {
    // Later ones are of an attempt that was lost after its last checkpoint.
    ATTUNE_ASSIGN_OR_RETURN(const auto found, FindCheckpoint(Best(), [](const Status&) {}));
    if (found) {
      whole = Status();
      best = found->path;
      state_.best_validation_loss = found->state.best_validation_loss;
      state_.best_validation_accuracy = found->state.best_validation_accuracy;
      state_.best_step = found->state.step;
    }
  }
  const CheckpointTensors tensors{.weights_file = setup_.Tensors().weights_file,
                                  .weights = setup_.Outcome()};
  if (whole.ok()) return LoadCheckpoint(best, tensors);
  if (whole.code() != StatusCode::kDataLoss) return whole;
  state_.best_validation_loss = state_.last_validation_loss;
  state_.best_validation_accuracy = state_.last_validation_accuracy;
  state_.best_step = state_.step;
  observer_.OnWarning(
      "the weights of the best evaluation could not be read, and what comes out "
      "is as it was after the last step: no whole copy is left in " +
      Best().string());
  return Status();
}

Status Trainer::StartCheckpoint() {
  Report("saving", 0, 1);
  ATTUNE_ASSIGN_OR_RETURN(const CheckpointTensors tensors,
                          setup_.WholeTensors(group_, task_.run_directory));
  // A checkpoint that outlives the host has its steps' records.
  if (log_) log_status_ = log_->Sync();
  if (group_.rank() == 0) writer_.Start(state_, tensors);
  started_checkpoint_ = state_.step;
  return Status();
}

Status Trainer::FinishCheckpoint() {
  if (started_checkpoint_ < 0) return Status();
  Status status;
  if (group_.rank() == 0) {
    const Result<fs::path> written = writer_.Finish();
    ReportCheckpoint(written);
    status = written.ok() ? log_status_ : written.status();
  }
  checkpoint_ = std::exchange(started_checkpoint_, -1);
  return group_.StatusFromFirst(status, kWriteSlack);
}

void Trainer::ReportCheckpoint(const Result<fs::path>& written) {
  if (written.ok()) observer_.OnCheckpoint(started_checkpoint_, *written);
}

Result<json> Trainer::AttuneJson() const {
  auto optional = [](const std::optional<double>& value) { return value ? json(*value) : json(); };
  json datasets = json::array();
  for (const DatasetFiles& dataset : task_.data.datasets) {
    datasets.push_back({{"reference", dataset.reference},
                        {"checksum", dataset.checksum},
                        {"weight", dataset.weight}});
    if (dataset.share > 0) datasets.back()["share"] = dataset.share;
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::string dtype, OriginalDtype(RootOf(task_.data.base)));
  json document = {{"attune_version", kVersion},
                   {"base", task_.data.base.reference},
                   {"base_model", PeftBase(task_.data.base)},
                   {"dtype", dtype},
                   {"datasets", datasets},
                   {"lineage", task_.lineage},
                   {"settings", json::parse(setup_.config, nullptr, false)},
                   {"step_plan", state_.plan_digest},
                   {"steps", state_.step},
                   {"final_loss", state_.loss},
                   {"first_validation_loss", optional(state_.first_validation_loss)},
                   {"final_validation_loss", optional(OutputLoss())}};
  if (!ended_.empty()) document["ended"] = ended_;
  if (KeepsBest()) document["best_step"] = state_.best_step;
  if (OutputAccuracy()) document["final_validation_accuracy"] = *OutputAccuracy();
  return document;
}

// The weights as they trained, in float32, so that a job that goes on from them loses nothing.
Status Trainer::WriteOutput() {
  Report("saving", 0, 1);
  Status status;
  if (group_.rank() == 0) {
    if (KeepsBest() && state_.best_step != state_.step) status = LoadBest();
    if (status.ok())
      status = WriteFolder(Output(), task_.generation, [this](const fs::path& folder) -> Status {
        const ModelFiles& base = task_.data.base;
        const LanguageModel& model = *setup_.model;
        NamedTensors outcome = setup_.Outcome();
        if (model.has_adapter()) outcome = model.AdapterTensors(std::move(outcome));
        // Of a whole model also what does not train.
        for (auto& named : model.has_adapter() ? NamedTensors() : model.BaseParameters()) {
          if (!named.second.requires_grad()) outcome.push_back(std::move(named));
        }
        const std::vector<OutputTensor> tensors = OutputOf(outcome);
        ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets text, LoadModelText(base));
        if (model.has_adapter()) {
          ATTUNE_RETURN_IF_ERROR(WriteAdapter(folder, tensors, "float32",
                                              model.AdapterConfigJson(PeftBase(base)),
                                              model.labels(), text));
        } else {
          ATTUNE_RETURN_IF_ERROR(
              WriteModel(folder, tensors, "float32", model.ConfigJson("float32"), text));
        }
        ATTUNE_RETURN_IF_ERROR(WriteOrigin(folder));
        ATTUNE_RETURN_IF_ERROR(fence_.Check());
        std::error_code ignored;
        fs::remove_all(Output(), ignored);  // of an attempt that was lost before it could tell
        return Status();
      });
  }
  return group_.StatusFromFirst(status, kWriteSlack);
}

Status Trainer::WriteOrigin(const fs::path& folder) {
  const ModelFiles& base = task_.data.base;
  ATTUNE_ASSIGN_OR_RETURN(const json lineage, AttuneJson());
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(
      folder / kAttuneFile, lineage.dump(2, ' ', false, json::error_handler_t::replace) + "\n"));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(
      folder / kReadme, ModelCard(lineage, RootOf(base), setup_.model->has_adapter())));
  ATTUNE_RETURN_IF_ERROR(CopySideFiles(base, folder, /*readme=*/false));
  // A classifier of an encoder is no model of embeddings any more.
  std::error_code ignored;
  for (const char* name : kEmbeddingFiles) {
    if (!setup_.model->labels().empty()) fs::remove(folder / name, ignored);
  }
  return Status();
}

// Before a checkpoint is chosen, so that none appears or goes afterwards.
Result<Fence> TakeFence(const TrainTask& task, Group& group) {
  Result<Fence> fence{Fence()};
  if (group.rank() == 0) fence = Fence::Take(task.run_directory, task.generation);
  ATTUNE_RETURN_IF_ERROR(group.StatusFromFirst(fence.status(), kWriteSlack));
  return fence;
}

// Few arenas, so that what one thread frees another can use.
void LimitArenas() {
  mallopt(M_ARENA_MAX, 2);
}

}  // namespace

Result<TrainResult> Train(const TrainTask& task, const Membership& membership, KeyValueStore* store,
                          Observer& observer) {
  ATTUNE_RETURN_IF_ERROR(CheckTrainTask(task, membership.world_size));
  return Guarded([&]() -> Result<TrainResult> {
    LimitArenas();
    if (task.data.train.threads > 0) at::set_num_threads(task.data.train.threads);
    ATTUNE_ASSIGN_OR_RETURN(const std::unique_ptr<Group> group, Group::Open(membership, store));
    ATTUNE_ASSIGN_OR_RETURN(Fence fence, TakeFence(task, *group));
    ATTUNE_ASSIGN_OR_RETURN(TrainingSetup setup, MakeSetup(task, *group, observer));
    Trainer trainer(task, std::move(fence), std::move(setup), *group, observer);
    return trainer.Run();
  });
}

}  // namespace attune::engine
