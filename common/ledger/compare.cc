#include "common/ledger/compare.h"

#include <algorithm>
#include <map>

#include "common/base/hex.h"

namespace attune::ledger {
namespace {

constexpr size_t kProblemsKept = 1000;

const StepLog* Find(std::span<const StepLog> logs, uint32_t generation) {
  const auto of = [](const StepLog& log) { return log.attempt.generation; };
  const auto found = std::ranges::lower_bound(logs, generation, {}, of);
  return found != logs.end() && found->attempt.generation == generation ? &*found : nullptr;
}

// What a step was to have, by step from 0.
std::vector<ExampleSum> PlannedSums(const PlanFile& plan) {
  std::vector<ExampleSum> sums(plan.shape().steps);
  for (uint64_t example = 0; example < plan.shape().examples; ++example) {
    ExampleSum one;
    one.Add(plan.Id(example));
    for (uint32_t epoch = 0; epoch < plan.shape().epochs(); ++epoch) {
      if (const uint32_t step = plan.Step(epoch, example); step > 0) sums[step - 1].Add(one);
    }
  }
  return sums;
}

bool IsKept(std::span<const KeptSteps> chain, uint32_t generation, uint32_t step) {
  return std::ranges::any_of(chain, [&](const KeptSteps& kept) {
    return kept.generation == generation && step > kept.after && step <= kept.up_to;
  });
}

class Comparer {
 public:
  Comparer(const PlanFile& plan, std::span<const StepLog> logs, bool finished)
      : plan_(plan), logs_(logs), finished_(finished), planned_(PlannedSums(plan)) {}

  Comparison Run() {
    chain_ = KeptChain(logs_);
    result_.steps.assign(planned_.size(), StepVerdict::kToCome);
    times_.assign(planned_.size(), 0);
    for (const StepLog& log : logs_) Take(log);
    JudgeSteps();
    SumEpochs();
    result_.planned = std::move(planned_);
    return std::move(result_);
  }

 private:
  void Take(const StepLog& log);
  void TakeKept(uint32_t generation, const AppliedStep& applied);
  void JudgeSteps();
  void SumEpochs();
  void Problem(StepProblem::Kind kind, uint32_t step, uint32_t generation,
               const ExampleSum& applied) {
    if (result_.problems.size() >= kProblemsKept) {
      ++result_.problems_left_out;
      return;
    }
    const bool known = step > 0 && step <= planned_.size();
    result_.problems.push_back(
        {kind, step, generation, known ? planned_[step - 1] : ExampleSum(), applied});
  }

  const PlanFile& plan_;
  const std::span<const StepLog> logs_;
  const bool finished_;
  std::vector<ExampleSum> planned_;
  std::vector<KeptSteps> chain_;
  std::vector<uint32_t> times_;  // each step was applied by the final model's attempts
  uint64_t unplanned_ = 0;
  Comparison result_;
};

void Comparer::Take(const StepLog& log) {
  const Attempt& attempt = log.attempt;
  const bool other_plan = attempt.plan_digest != plan_.shape().digest;
  const bool in_chain = std::ranges::any_of(
      chain_, [&](const KeptSteps& kept) { return kept.generation == attempt.generation; });
  if (other_plan && in_chain)
    Problem(StepProblem::Kind::kOtherPlan, 0, attempt.generation, ExampleSum());
  for (const AppliedStep& applied : log.steps) {
    const bool kept = !other_plan && IsKept(chain_, attempt.generation, applied.step);
    auto& spans = result_.spans;
    if (!spans.empty() && spans.back().generation == attempt.generation &&
        spans.back().kept == kept && spans.back().last + 1 == applied.step) {
      spans.back().last = applied.step;
    } else {
      spans.push_back({attempt.generation, attempt.ranks, applied.step, applied.step, kept});
    }
    if (kept) TakeKept(attempt.generation, applied);
  }
}

void Comparer::TakeKept(uint32_t generation, const AppliedStep& applied) {
  const uint32_t step = applied.step;
  if (step > planned_.size()) {
    unplanned_ += applied.sum.examples;
    return Problem(StepProblem::Kind::kUnplanned, step, generation, applied.sum);
  }
  result_.applied_steps = std::max(result_.applied_steps, step);
  StepVerdict& verdict = result_.steps[step - 1];
  if (++times_[step - 1] > 1) {
    if (verdict == StepVerdict::kUsed) verdict = StepVerdict::kRepeated;
    return Problem(StepProblem::Kind::kRepeated, step, generation, applied.sum);
  }
  const bool as_planned = applied.sum == planned_[step - 1];
  verdict = as_planned ? StepVerdict::kUsed : StepVerdict::kMissing;
  if (!as_planned) Problem(StepProblem::Kind::kDiffers, step, generation, applied.sum);
}

void Comparer::JudgeSteps() {
  for (uint32_t step = 1; step <= planned_.size(); ++step) {
    if (times_[step - 1] > 0 || (!finished_ && step > result_.applied_steps)) continue;
    result_.steps[step - 1] = StepVerdict::kMissing;
    Problem(StepProblem::Kind::kLost, step, 0, ExampleSum());
  }
  std::ranges::stable_sort(result_.problems, {}, &StepProblem::step);
}

void Comparer::SumEpochs() {
  const PlanShape& shape = plan_.shape();
  for (uint32_t epoch = 0; epoch < shape.epochs(); ++epoch) {
    const uint64_t first = uint64_t{epoch} * shape.steps_an_epoch;
    const uint64_t end = std::min<uint64_t>(first + shape.steps_an_epoch, shape.steps);
    EpochUses sums{.epoch = epoch + 1, .examples = shape.examples, .uses = {}};
    for (uint64_t s = first; s < end; ++s) {
      const uint64_t examples = planned_[s].examples;
      const StepVerdict verdict = result_.steps[s];
      sums.uses.planned += examples;
      switch (verdict) {
        case StepVerdict::kToCome:
          sums.uses.to_come += examples;
          break;
        case StepVerdict::kMissing:
          sums.uses.missing += examples;
          break;
        case StepVerdict::kRepeated:
          sums.uses.repeated += (times_[s] - 1) * examples;
          [[fallthrough]];
        case StepVerdict::kUsed:
          sums.uses.used += examples;
      }
    }
    result_.epochs.push_back(sums);
    result_.uses.planned += sums.uses.planned;
    result_.uses.used += sums.uses.used;
    result_.uses.missing += sums.uses.missing;
    result_.uses.repeated += sums.uses.repeated;
    result_.uses.to_come += sums.uses.to_come;
  }
  result_.uses.repeated += unplanned_;
}

}  // namespace

std::vector<KeptSteps> KeptChain(std::span<const StepLog> logs) {
  std::vector<KeptSteps> chain;
  // An attempt that took no step changed nothing, but what it resumed from is what it stood on.
  const StepLog* log = logs.empty() ? nullptr : &logs.back();
  uint32_t up_to = UINT32_MAX;
  while (log != nullptr) {
    const Attempt& attempt = log->attempt;
    chain.push_back({attempt.generation, attempt.resumed_step, up_to});
    up_to = attempt.resumed_step;
    log = up_to == 0 ? nullptr : Find(logs, attempt.resumed_generation);
  }
  return chain;
}

Comparison Compare(const PlanFile& plan, std::span<const StepLog> logs, bool finished) {
  return Comparer(plan, logs, finished).Run();
}

std::vector<ListedUse> List(const PlanFile& plan, const Comparison& comparison, StepVerdict verdict,
                            uint64_t* place, size_t limit) {
  std::vector<ListedUse> uses;
  const uint64_t examples = plan.shape().examples;
  for (; *place < examples * plan.shape().epochs() && uses.size() < limit; ++*place) {
    const auto epoch = static_cast<uint32_t>(*place / examples);
    const uint64_t example = *place % examples;
    const uint32_t step = plan.Step(epoch, example);
    if (step == 0 || comparison.steps[step - 1] != verdict) continue;
    uses.push_back({ToHex(plan.Id(example)), epoch + 1, step});
  }
  return uses;
}

}  // namespace attune::ledger
