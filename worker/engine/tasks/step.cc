#include "worker/engine/tasks/step.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "common/base/hash.h"
#include "common/base/text.h"
#include "common/base/utf8.h"
#include "worker/engine/batches/batch.h"
#include "worker/engine/objectives/objective.h"
#include "worker/engine/optim/gradient_norm.h"
#include "worker/engine/optim/schedule.h"
#include "worker/engine/parallel/device_memory.h"
#include "worker/engine/tasks/culprits.h"

namespace attune::engine {
namespace {

constexpr size_t kWordsBytes = 60;
// Rank 0 reads a whole checkpoint to verify it, the others wait.
constexpr std::chrono::minutes kVerifySlack{30};

// Seconds since the last call.
class Stopwatch {
 public:
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    const double seconds = std::chrono::duration<double>(now - last_).count();
    last_ = now;
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

std::vector<at::Tensor> Values(const NamedTensors& named) {
  std::vector<at::Tensor> values;
  for (const auto& [name, tensor] : named) values.push_back(tensor);
  return values;
}

uint64_t DropoutSeed(uint64_t seed, int step) {
  return Random(Random(seed).Next() ^ static_cast<uint64_t>(step)).Next();
}

// The first words of an example, as far as the base's tokenizer says.
std::string Words(const text::TextAssets* text, std::span<const uint32_t> tokens) {
  if (text == nullptr || text->tokenizer == nullptr) return "";
  const auto decoded = text->tokenizer->Decode({tokens.begin(), tokens.end()}, true);
  if (!decoded.ok()) return "";
  std::string words = Shorten(ToValidUtf8(*decoded), kWordsBytes);
  std::ranges::replace_if(
      words, [](unsigned char c) { return c < ' '; }, ' ');
  return words;
}

}  // namespace

StepRunner::StepRunner(const TrainTask& task, TrainingSetup& setup, Group& group)
    : task_(task),
      setup_(setup),
      group_(group),
      parameters_(Values(setup.trainable)),
      sync_(&group, parameters_) {}

int64_t StepRunner::UnitsOf(const PlannedStep& planned) const {
  int64_t units = 0;
  for (const Sequence& sequence : planned.sequences) {
    for (const uint32_t example : sequence) {
      units += setup_.objective->Units(*setup_.data.train, example);
    }
  }
  return units;
}

Result<LossPart> StepRunner::Accumulate(int step, const PlannedStep& planned, int64_t units,
                                        StepReport& report) {
  const TokenShard& shard = *setup_.data.train;
  Stopwatch watch;
  const std::vector<Sequence> part =
      RankPart(planned, shard.lengths(), group_.rank(), group_.world_size());
  // A part is contiguous, and no example of an epoch is twice in it.
  const auto begin =
      part.empty() ? planned.sequences.end() : std::ranges::find(planned.sequences, part.front());
  const auto first = static_cast<size_t>(begin - planned.sequences.begin());
  const auto micro_batches = MicroBatches(part, task_.data.train.micro_batch);
  const uint64_t draw = DropoutSeed(task_.data.train.seed, step);
  setup_.model->SetTraining(true, draw);
  ATTUNE_RETURN_IF_ERROR(
      setup_.objective->Begin({shard, planned, first, micro_batches, draw}, group_));
  LossPart sum;
  fed_ = {};
  report.seconds_data += watch.Lap();
  for (size_t i = 0; i < micro_batches.size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(const LossPart loss,
                            setup_.objective->Forward(shard, micro_batches[i], draw));
    sum.loss += loss.loss;
    sum.right += loss.right;
    for (const Sequence& sequence : micro_batches[i]) {
      for (const uint32_t example : sequence) fed_.Add(shard.Example(example).id);
    }
    report.seconds_forward += watch.Lap();
    if (i + 1 == micro_batches.size()) sync_.StartLastBackward();
    loss.root.backward(at::full_like(loss.root, 1.0 / static_cast<double>(units)));
    report.seconds_backward += watch.Lap();
  }
  ATTUNE_RETURN_IF_ERROR(sync_.Finish());
  report.seconds_sync += watch.Lap();
  return sum;
}

Result<bool> StepRunner::IsFiniteAlone(uint32_t example, uint64_t draw, int64_t units) {
  const Sequence alone = {example};
  ObjectiveFunction& objective = *setup_.objective;
  if (objective.examples_together() > 0) {
    ATTUNE_ASSIGN_OR_RETURN(const LossPart part, objective.Measure(*setup_.data.train, alone));
    return std::isfinite(part.loss);
  }
  ATTUNE_ASSIGN_OR_RETURN(const LossPart part,
                          objective.Forward(*setup_.data.train, {&alone, 1}, draw));
  if (!std::isfinite(part.loss)) return false;
  part.root.backward(at::full_like(part.root, 1.0 / static_cast<double>(units)));
  const bool is_finite = std::isfinite(GradientNorm(parameters_));
  sync_.Release();
  return is_finite;
}

Result<std::string> StepRunner::CheckpointNote() {
  std::string note = "there is no checkpoint";
  if (group_.rank() == 0) {
    const auto found = FindCheckpoint(task_.run_directory / "checkpoints", [](const Status&) {});
    if (!found.ok()) {
      note = found.status().message();
    } else if (*found) {
      note = "the newest whole checkpoint is " + (*found)->path.string();
    }
  }
  return group_.FromFirst(note, kVerifySlack);
}

Status StepRunner::NotFinite(const char* what, double value, int step, const PlannedStep& planned) {
  sync_.Release();
  const TokenShard& shard = *setup_.data.train;
  const auto text = LoadModelText(task_.data.base);
  const uint64_t draw = DropoutSeed(task_.data.train.seed, step);
  const int64_t units = UnitsOf(planned);
  const CulpritSearch search{
      .shard = shard,
      .is_finite = [&](uint32_t example) { return IsFiniteAlone(example, draw, units); },
      .words = [&](auto tokens) { return Words(text.ok() ? &*text : nullptr, tokens); }};
  const std::vector<Sequence> part =
      RankPart(planned, shard.lengths(), group_.rank(), group_.world_size());
  ATTUNE_ASSIGN_OR_RETURN(const std::string culprits, FindCulprits(search, part, group_));
  ATTUNE_ASSIGN_OR_RETURN(const std::string checkpoint, CheckpointNote());
  return FailedPrecondition(std::string(what) + " became " + std::to_string(value) + " at step " +
                            std::to_string(step + 1) + culprits +
                            ". Look at the data, or lower optimizer.learning_rate (now " +
                            ShortNumber(task_.optimizer.learning_rate) +
                            "), add warm-up, or set clip_norm; " + checkpoint);
}

Status StepRunner::ShareUpdates() {
  std::vector<std::unique_ptr<Pending>> pending;
  for (size_t p = 0; p < setup_.owners.size(); ++p) {
    ATTUNE_ASSIGN_OR_RETURN(auto sent,
                            group_.StartBroadcast(parameters_[p].detach(), setup_.owners[p]));
    pending.push_back(std::move(sent));
  }
  for (const auto& sent : pending) ATTUNE_RETURN_IF_ERROR(sent->Wait());
  return Status();
}

Result<StepRunner::Outcome> StepRunner::Run(int step, StopRequest wish,
                                            const std::function<Status()>& before_update) {
  Stopwatch whole, watch;
  Outcome outcome;
  StepReport& report = outcome.report;
  const PlannedStep planned = setup_.plan->Step(step);
  report.seconds_data = watch.Lap();
  const int64_t units = UnitsOf(planned);
  ATTUNE_ASSIGN_OR_RETURN(const LossPart mine, Accumulate(step, planned, units, report));

  watch.Lap();
  // Halves of the digest, since a double holds 53 bits.
  const auto high = static_cast<double>(fed_.digest >> 32);
  const auto low = static_cast<double>(fed_.digest & UINT32_MAX);
  std::vector<double> values = {mine.loss, static_cast<double>(fed_.examples), high, low,
                                static_cast<double>(mine.right)};
  // Of each rank a value of its own, so that the sums hold the largest.
  const auto peaks = static_cast<std::ptrdiff_t>(values.size());
  values.resize(values.size() + group_.world_size(), 0);
  values[peaks + group_.rank()] = static_cast<double>(PeakMemory(setup_.device));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<double> sums, group_.Sum(std::move(values)));
  ATTUNE_ASSIGN_OR_RETURN(outcome.stop, group_.AgreeOnStop(wish));
  report.seconds_sync += watch.Lap();
  report.loss = sums[0] / static_cast<double>(units);
  if (setup_.objective->counts_right()) report.accuracy = sums[4] / static_cast<double>(units);
  auto refuse = [&](const char* what, double value) {
    (void)before_update().ok();  // so that what is being written is whole
    return NotFinite(what, value, step, planned);
  };
  if (!std::isfinite(report.loss)) return refuse("the loss", report.loss);

  if (setup_.penalty != nullptr) report.penalty = setup_.penalty->AddGradient();
  report.grad_norm = GradientNorm(parameters_);
  if (!std::isfinite(report.grad_norm)) {
    return refuse("the gradients' norm", report.grad_norm);
  }
  report.seconds_optimizer = watch.Lap();
  ATTUNE_RETURN_IF_ERROR(before_update());
  report.seconds_sync += watch.Lap();
  ATTUNE_ASSIGN_OR_RETURN(const double factor,
                          ScheduleFactor(task_.optimizer, step, setup_.plan->steps()));
  report.learning_rate = task_.optimizer.learning_rate * factor;
  setup_.optimizer->Step(step + 1, report.learning_rate,
                         ClipFactor(report.grad_norm, task_.optimizer.clip_norm));
  ATTUNE_RETURN_IF_ERROR(ShareUpdates());
  if (setup_.average != nullptr) setup_.average->Update(step + 1);
  sync_.Release();
  report.seconds_optimizer += watch.Lap();
  report.step = step + 1;
  report.examples = static_cast<uint64_t>(sums[1]);
  report.examples_digest = (static_cast<uint64_t>(sums[2]) << 32) + static_cast<uint64_t>(sums[3]);
  report.predicted_memory = setup_.predicted_memory;
  report.peak_memory = static_cast<int64_t>(*std::max_element(sums.begin() + peaks, sums.end()));
  report.tokens = planned.tokens;
  report.target_tokens = units;
  report.seconds = whole.Lap();
  return outcome;
}

}  // namespace attune::engine
