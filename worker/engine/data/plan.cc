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

// sha256 over numbers of 4 bytes, little-endian.
class NumbersHash {
 public:
  void Add(uint32_t number) {
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>(number >> shift);
    if (bytes_.size() >= kBytes) Flush();
  }
  void Add(std::span<const uint32_t> numbers) {
    for (const uint32_t number : numbers) Add(number);
  }
  void Add(std::string_view text) { bytes_ += text; }
  std::string Hex() {
    Flush();
    return hash_.Hex();
  }

 private:
  static constexpr size_t kBytes = 1 << 16;
  void Flush() {
    hash_.Update(bytes_);
    bytes_.clear();
  }
  Sha256 hash_;
  std::string bytes_;
};

class BalancedPlan : public StepPlan {
 public:
  BalancedPlan(std::span<const uint32_t> lengths, std::span<const uint32_t> target_counts,
               const PlanOptions& options)
      : lengths_(lengths.begin(), lengths.end()),
        target_counts_(target_counts.begin(), target_counts.end()),
        options_(options) {
    if (options.packing) packer_.emplace(lengths_, static_cast<uint32_t>(options.sequence_length));
  }

  Status CountSteps();

  int steps() const override { return steps_; }
  int steps_an_epoch() const override { return steps_an_epoch_; }
  uint64_t sequences_an_epoch() const override {
    return packer_ ? packer_->sequences() : lengths_.size();
  }
  uint64_t fewest_sequences() const override {
    return packer_ ? packer_->fewest_sequences() : lengths_.size();
  }
  PlannedStep Step(int s) const override;
  std::string Digest() const override;

 private:
  std::shared_ptr<const Epoch> EpochOf(int epoch) const EXCLUDES(mutex_);
  std::shared_ptr<const Epoch> MakeEpoch(int epoch) const;
  Bins MakeSequences(Random* random) const;
  // How many steps it takes to see so many tokens; not more than there are.
  int64_t TokensAnEpoch() const;
  int StepsOfTokens(int64_t tokens) const;
  PlannedStep StepOf(const Epoch& epoch, int step) const;
  void AddInputs(NumbersHash* hash) const;

  const std::vector<uint32_t> lengths_, target_counts_;
  const PlanOptions options_;
  std::optional<Packer> packer_;  // with options_.packing
  int steps_ = 0, steps_an_epoch_ = 0;
  mutable Mutex mutex_;
  mutable int cached_epoch_ GUARDED_BY(mutex_) = -1;
  mutable std::shared_ptr<const Epoch> cached_ GUARDED_BY(mutex_);
  mutable Mutex digest_mutex_;  // before mutex_
  mutable std::string digest_ GUARDED_BY(digest_mutex_);
};

Status BalancedPlan::CountSteps() {
  const auto batch = static_cast<uint64_t>(options_.global_batch);
  const uint64_t steps_an_epoch = (sequences_an_epoch() + batch - 1) / batch;
  double steps = std::ceil(options_.epochs * static_cast<double>(steps_an_epoch) - 1e-9);
  if (options_.max_steps > 0) steps = std::min<double>(steps, options_.max_steps);
  if (options_.max_tokens > 0) {  // so many epochs have them
    const double epochs = static_cast<double>((options_.max_tokens - 1) / TokensAnEpoch() + 1);
    steps = std::min(steps, epochs * static_cast<double>(steps_an_epoch));
  }
  if (steps > kStepsMax || steps_an_epoch > kStepsMax) {
    return InvalidArgument("the run would have more than 1e9 steps");
  }
  steps_an_epoch_ = static_cast<int>(steps_an_epoch);
  steps_ = std::max(1, static_cast<int>(steps));
  if (options_.max_tokens > 0) steps_ = std::min(steps_, StepsOfTokens(options_.max_tokens));
  return Status();
}

int64_t BalancedPlan::TokensAnEpoch() const {
  return std::accumulate(lengths_.begin(), lengths_.end(), int64_t{0});
}

int BalancedPlan::StepsOfTokens(int64_t tokens) const {
  const int64_t an_epoch = TokensAnEpoch();
  const int64_t epochs = (tokens - 1) / an_epoch;  // that are not enough
  if (epochs >= steps_ / steps_an_epoch_ + 1) return steps_;
  int s = static_cast<int>(epochs) * steps_an_epoch_;
  for (int64_t seen = epochs * an_epoch; s < steps_ && seen < tokens; ++s) seen += Step(s).tokens;
  return s;
}

std::shared_ptr<const Epoch> BalancedPlan::EpochOf(int epoch) const {
  MutexLock lock(&mutex_);
  if (cached_epoch_ != epoch) {
    cached_.reset();  // two at once would be more memory than a plan may take
    cached_ = MakeEpoch(epoch);
    cached_epoch_ = epoch;
  }
  return cached_;
}

Bins BalancedPlan::MakeSequences(Random* random) const {
  if (packer_) return packer_->Pack(random);
  Bins single;
  single.items.resize(lengths_.size());
  single.starts.resize(lengths_.size() + 1);
  std::iota(single.items.begin(), single.items.end(), 0u);
  std::iota(single.starts.begin(), single.starts.end(), 0u);
  Shuffle(single.items, random);
  return single;
}

std::shared_ptr<const Epoch> BalancedPlan::MakeEpoch(int epoch) const {
  // A stream of its own for each epoch, so that any epoch can be planned without those before it.
  Random seeds(options_.seed);
  Random random(seeds.Next() ^ (0x9e3779b97f4a7c15ULL * (static_cast<uint64_t>(epoch) + 1)));
  auto made = std::make_shared<Epoch>();
  made->sequences = MakeSequences(&random);
  std::vector<uint32_t> tokens(made->sequences.size(), 0);
  for (size_t i = 0; i < tokens.size(); ++i) {
    for (uint32_t example : made->sequences[i]) tokens[i] += lengths_[example];
  }
  made->steps = BalanceSteps(tokens, static_cast<uint32_t>(options_.sequence_length),
                             options_.global_batch, &random);
  return made;
}

PlannedStep BalancedPlan::Step(int s) const {
  ATTUNE_CHECK(s >= 0);
  ATTUNE_CHECK(s < steps_);
  return StepOf(*EpochOf(s / steps_an_epoch_), s % steps_an_epoch_);
}

PlannedStep BalancedPlan::StepOf(const Epoch& epoch, int s) const {
  PlannedStep step;
  for (uint32_t number : epoch.steps[static_cast<size_t>(s)]) {
    auto examples = epoch.sequences[number];
    for (uint32_t example : examples) {
      step.tokens += lengths_[example];
      step.target_tokens += target_counts_[example];
    }
    step.sequences.emplace_back(examples.begin(), examples.end());
  }
  return step;
}

void BalancedPlan::AddInputs(NumbersHash* hash) const {
  std::string text = "attune step plan";
  for (const uint64_t number :
       {static_cast<uint64_t>(kPlanFormat), options_.seed,
        static_cast<uint64_t>(options_.sequence_length), static_cast<uint64_t>(options_.packing),
        static_cast<uint64_t>(options_.global_batch), static_cast<uint64_t>(steps_),
        static_cast<uint64_t>(lengths_.size())}) {
    text += " " + std::to_string(number);
  }
  hash->Add(text);
  hash->Add(lengths_);
  hash->Add(target_counts_);
}

std::string BalancedPlan::Digest() const {
  MutexLock lock(&digest_mutex_);
  if (!digest_.empty()) return digest_;
  NumbersHash hash;
  AddInputs(&hash);
  const std::shared_ptr<const Epoch> first = EpochOf(0);
  for (int s = 0; s < steps_an_epoch_; ++s) {
    const PlannedStep step = StepOf(*first, s);
    hash.Add(static_cast<uint32_t>(step.sequences.size()));
    for (const Sequence& sequence : step.sequences) {
      hash.Add(static_cast<uint32_t>(sequence.size()));
      hash.Add(sequence);
    }
  }
  digest_ = hash.Hex();
  return digest_;
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
  if (options.max_tokens < 0) {
    return InvalidArgument("max_tokens must not be negative").WithField("train.max_tokens");
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
