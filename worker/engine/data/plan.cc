#include "worker/engine/data/plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "common/base/hash.h"
#include "common/base/mutex.h"
#include "worker/engine/data/packing.h"

namespace attune::engine {
namespace {

constexpr int kStepsMax = 1'000'000'000;

// One epoch: its sequences, and which of them each step has.
struct Epoch {
  Bins sequences, steps;
};

class BalancedPlan : public StepPlan {
 public:
  BalancedPlan(std::span<const uint32_t> lengths, std::span<const uint32_t> target_counts,
               const PlanOptions& options)
      : lengths_(lengths.begin(), lengths.end()),
        target_counts_(target_counts.begin(), target_counts.end()),
        options_(options) {}

  Status CountSteps();

  int steps() const override { return steps_; }
  PlannedStep Step(int s) const override;
  std::string Digest() const override;

 private:
  std::shared_ptr<const Epoch> EpochOf(int epoch) const EXCLUDES(mutex_);
  std::shared_ptr<const Epoch> MakeEpoch(int epoch) const;

  const std::vector<uint32_t> lengths_, target_counts_;
  const PlanOptions options_;
  int steps_ = 0, steps_an_epoch_ = 0;
  mutable Mutex mutex_;
  mutable int cached_epoch_ GUARDED_BY(mutex_) = -1;
  mutable std::shared_ptr<const Epoch> cached_ GUARDED_BY(mutex_);
};

Status BalancedPlan::CountSteps() {
  // Every epoch has as many sequences, since their number follows from the lengths alone.
  auto steps_an_epoch = static_cast<double>(EpochOf(0)->steps.size());
  double steps = std::ceil(options_.epochs * steps_an_epoch - 1e-9);
  if (options_.max_steps > 0) steps = std::min<double>(steps, options_.max_steps);
  if (steps > kStepsMax) return InvalidArgument("the run would have more than 1e9 steps");
  steps_an_epoch_ = static_cast<int>(steps_an_epoch);
  steps_ = std::max(1, static_cast<int>(steps));
  return Status();
}

std::shared_ptr<const Epoch> BalancedPlan::EpochOf(int epoch) const {
  MutexLock lock(&mutex_);
  if (cached_epoch_ != epoch) {
    cached_ = MakeEpoch(epoch);
    cached_epoch_ = epoch;
  }
  return cached_;
}

std::shared_ptr<const Epoch> BalancedPlan::MakeEpoch(int epoch) const {
  // A stream of its own for each epoch, so that any epoch can be planned without those before it.
  Random seeds(options_.seed);
  Random random(seeds.Next() ^ (0x9e3779b97f4a7c15ULL * (static_cast<uint64_t>(epoch) + 1)));
  std::vector<uint32_t> order(lengths_.size());
  std::iota(order.begin(), order.end(), 0u);
  Shuffle(&order, &random);
  auto made = std::make_shared<Epoch>();
  if (options_.packing) {
    made->sequences = PackBestFit(order, lengths_, options_.sequence_length);
  } else {
    made->sequences.starts.resize(order.size() + 1);
    std::iota(made->sequences.starts.begin(), made->sequences.starts.end(), 0u);
    made->sequences.items = std::move(order);
  }
  std::vector<uint64_t> tokens(made->sequences.size(), 0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (uint32_t example : made->sequences[i]) tokens[i] += lengths_[example];
  }
  made->steps = BalanceSteps(tokens, options_.global_batch, &random);
  return made;
}

PlannedStep BalancedPlan::Step(int s) const {
  ATTUNE_CHECK(s >= 0);
  ATTUNE_CHECK(s < steps_);
  std::shared_ptr<const Epoch> epoch = EpochOf(s / steps_an_epoch_);
  PlannedStep step;
  for (uint32_t number : epoch->steps[static_cast<size_t>(s % steps_an_epoch_)]) {
    auto examples = epoch->sequences[number];
    for (uint32_t example : examples) {
      step.tokens += lengths_[example];
      step.target_tokens += target_counts_[example];
    }
    step.sequences.emplace_back(examples.begin(), examples.end());
  }
  return step;
}

std::string BalancedPlan::Digest() const {
  Sha256 hash;
  auto add = [&hash](uint32_t number) {
    uint8_t bytes[4] = {static_cast<uint8_t>(number), static_cast<uint8_t>(number >> 8),
                        static_cast<uint8_t>(number >> 16), static_cast<uint8_t>(number >> 24)};
    hash.Update(bytes, sizeof bytes);
  };
  for (int s = 0; s < steps_; ++s) {
    PlannedStep step = Step(s);
    add(static_cast<uint32_t>(step.sequences.size()));
    for (const Sequence& sequence : step.sequences) {
      add(static_cast<uint32_t>(sequence.size()));
      for (uint32_t example : sequence) add(example);
    }
  }
  return hash.Hex();
}

Status CheckOptions(const PlanOptions& options) {
  if (options.sequence_length < 2 || options.sequence_length > (1 << 24)) {
    return InvalidArgument("sequence_length must be from 2 to 16777216, not " +
                           std::to_string(options.sequence_length))
        .WithField("train.sequence_length");
  }
  if (options.global_batch < 1) {
    return InvalidArgument("global_batch must be at least 1").WithField("train.global_batch");
  }
  if (!(options.epochs > 0) || !std::isfinite(options.epochs)) {
    return InvalidArgument("epochs must be above 0").WithField("train.epochs");
  }
  if (options.max_steps < 0) {
    return InvalidArgument("max_steps must not be negative").WithField("train.max_steps");
  }
  return Status();
}

}  // namespace

Result<std::shared_ptr<const StepPlan>> StepPlan::Make(std::span<const uint32_t> lengths,
                                                       std::span<const uint32_t> target_counts,
                                                       const PlanOptions& options) {
  ATTUNE_RETURN_IF_ERROR(CheckOptions(options));
  if (lengths.empty()) return InvalidArgument("there is no example to train on");
  if (lengths.size() != target_counts.size() || lengths.size() > UINT32_MAX - 1) {
    return InvalidArgument("a plan needs a length and a target count of each example");
  }
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] == 0 || lengths[i] > static_cast<uint32_t>(options.sequence_length)) {
      return InvalidArgument("example " + std::to_string(i) + " has " + std::to_string(lengths[i]) +
                             " tokens, sequence_length is " +
                             std::to_string(options.sequence_length));
    }
  }
  auto plan = std::make_shared<BalancedPlan>(lengths, target_counts, options);
  ATTUNE_RETURN_IF_ERROR(plan->CountSteps());
  return std::shared_ptr<const StepPlan>(std::move(plan));
}

}  // namespace attune::engine
