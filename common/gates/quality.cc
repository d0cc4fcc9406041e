#include "common/gates/quality.h"

#include <algorithm>
#include <cmath>

#include "common/base/hash.h"
#include "common/base/text.h"
#include "common/base/utf8.h"
#include "common/gates/measure.h"
#include "common/gates/text.h"
#include "common/statistics/bootstrap.h"

namespace attune::gates {
namespace {

constexpr size_t kMaxDeciding = 10;
constexpr size_t kMaxTextBytes = 500;
constexpr double kPlannedPower = 0.8;

// A gate's resamples depend on nothing but the spec's seed and what the gate is.
Sampling SamplingOf(const v1::GatesSpec& spec, const v1::GateResult& gate) {
  const std::string text = std::to_string(spec.seed()) + "/" + gate.gate() + "/" + gate.name();
  return {.seed = std::stoull(Sha256Hex(text).substr(0, 16), nullptr, 16)};
}

// How the numbers stand to a limit that none may exceed; for a limit from below all are negated.
struct Standing {
  double estimate, bound, limit;
};

v1::GateReport::Verdict Judge(const Measured& measured, const Standing& at, double confidence) {
  const bool measurable = measured.examples >= (confidence > 0 ? kMinExamples : 1);
  if (!measurable) return v1::GateReport::INCONCLUSIVE;
  if (!(at.estimate <= at.limit)) return v1::GateReport::FAILED;
  return at.bound <= at.limit ? v1::GateReport::PASSED : v1::GateReport::INCONCLUSIVE;
}

// Why an INCONCLUSIVE verdict is one, and what would help.
std::string Undecided(const Measured& measured, const Standing& at, double confidence) {
  if (measured.examples == 0) return "; there are no examples to measure on";
  if (measured.examples < kMinExamples) {
    return "; " + CountOf(measured.examples, "example") + " are too few to say, at least " +
           std::to_string(kMinExamples) + " are needed";
  }
  const size_t needed = statistics::NeededExamples(measured.deviation, at.limit - at.estimate,
                                                   confidence, kPlannedPower);
  const std::string open = "; the estimate is within, its bound is not: ";
  if (needed > 10'000'000) return open + "the estimate is too close to the limit to tell";
  return open + "it has " + CountOf(measured.examples, "example") + ", about " +
         CountOf(std::max<size_t>(needed, measured.examples + 1), "example") + " would do";
}

// How sure the estimate is, in brackets: the bound that has to be within the limit, or that a
// failed estimate is beyond it. sure: that bound in words.
std::string HowSure(const Measured& measured, double confidence, const std::string& sure) {
  if (confidence == 0) return " (the estimate alone)";
  return measured.method.empty() ? "" : " (" + sure + ")";
}

// "loss 1.92 -> 2.31, worse by 0.39 (by at least 0.31, 95 % sure)"
std::string ChangeText(const Metric& metric, const Measured& measured, bool beyond,
                       double confidence) {
  const Side side = beyond ? Side::kAtLeast : Side::kAtMost;
  const double bound = beyond ? measured.bounds.lower : measured.bounds.upper;
  return metric.name() + " " + ShortNumber(measured.champion) + " -> " +
         ShortNumber(measured.candidate) + ", " + WorseBy(measured.value) +
         HowSure(measured, confidence, WorseByBound(measured.value, side, bound, confidence)) +
         (measured.note.empty() ? "" : ", " + measured.note);
}

void Fill(const Measured& measured, double bound, double confidence, v1::GateResult* result) {
  result->set_value(measured.value);
  result->set_lower(measured.bounds.lower);
  result->set_upper(measured.bounds.upper);
  result->set_bound(bound);
  result->set_confidence(confidence);
  result->set_examples(measured.examples);
  result->set_method(measured.method.empty() ? "estimate" : measured.method);
}

// The examples with the most weight against the candidate; for it when the gate passed.
template <typename Worse>
void AddDeciding(const Metric& metric, const std::vector<Pair>& pairs, const Worse& worse,
                 v1::GateResult* result) {
  const double sign = result->verdict() == v1::GateReport::PASSED ? -1 : 1;
  std::vector<std::pair<double, const Pair*>> weights;
  for (const Pair& pair : pairs) {
    const double weight = sign * worse(pair);
    if (weight > 0) weights.emplace_back(weight, &pair);
  }
  const size_t count = std::min(kMaxDeciding, weights.size());
  std::partial_sort(weights.begin(), weights.begin() + static_cast<long>(count), weights.end(),
                    [](const auto& a, const auto& b) {
                      if (a.first != b.first) return a.first > b.first;
                      return a.second->candidate->id() < b.second->candidate->id();
                    });
  for (size_t i = 0; i < count; ++i) {
    const Pair& pair = *weights[i].second;
    v1::DecidingExample* example = result->add_deciding();
    example->set_id(pair.candidate->id());
    example->set_candidate(metric.ValueOf(*pair.candidate));
    if (pair.champion != nullptr) example->set_champion(metric.ValueOf(*pair.champion));
    example->set_prompt(Shorten(pair.candidate->prompt(), kMaxTextBytes));
    example->set_answer(Shorten(pair.candidate->answer(), kMaxTextBytes));
    example->set_reference(Shorten(pair.candidate->reference(), kMaxTextBytes));
  }
}

Result<v1::GateResult> GoalGate(const Suites& suites, const v1::Goal& goal,
                                const v1::GatesSpec& spec, bool maximum) {
  ATTUNE_ASSIGN_OR_RETURN(Metric metric, Metric::Make(goal.metric().name()));
  v1::GateResult result;
  result.set_gate("goal");
  std::string name = metric.name();
  if (!goal.slice_key().empty()) name += " of " + goal.slice_key() + "=" + goal.slice_value();
  result.set_name(name);
  ATTUNE_ASSIGN_OR_RETURN(
      auto pairs, suites.Candidates(kGoalSuite, metric, goal.slice_key(), goal.slice_value()));
  ATTUNE_ASSIGN_OR_RETURN(Measured measured, MeasureCandidate(metric, pairs, goal.confidence(),
                                                              SamplingOf(spec, result)));
  const double limit = maximum ? goal.max() : goal.min();
  const Standing at = maximum ? Standing{measured.value, measured.bounds.upper, limit}
                              : Standing{-measured.value, -measured.bounds.lower, -limit};
  Fill(measured, limit, goal.confidence(), &result);
  result.set_verdict(Judge(measured, at, goal.confidence()));
  const bool beyond = !(at.estimate <= at.limit);
  const std::string sure = maximum != beyond
                               ? Bound(Side::kAtMost, measured.bounds.upper, goal.confidence())
                               : Bound(Side::kAtLeast, measured.bounds.lower, goal.confidence());
  std::string text =
      name + " " + ShortNumber(measured.value) + HowSure(measured, goal.confidence(), sure) +
      (maximum ? ", at most " : ", at least ") + ShortNumber(limit) + " is asked for";
  if (result.verdict() == v1::GateReport::INCONCLUSIVE) {
    text += Undecided(measured, at, goal.confidence());
  }
  result.set_explanation(text);
  AddDeciding(
      metric, pairs,
      [&](const Pair& pair) { return metric.WorseThanBound(*pair.candidate, limit); }, &result);
  ATTUNE_RETURN_IF_ERROR(AddSlices(metric, pairs, false, spec, &result));
  return result;
}

// What the champion's gate and retention share: candidate against champion on one suite.
struct Comparison {
  Measured measured;
  double limit = 0;
  std::vector<Pair> pairs;
  std::string text, open;  // the numbers; what is missing for a verdict
};

Result<Comparison> Compare(const Suites& suites, const std::string& suite, const Metric& metric,
                           double limit, bool relative, double confidence,
                           const v1::GatesSpec& spec, v1::GateResult* result) {
  Comparison made;
  uint64_t unpaired = 0;
  ATTUNE_ASSIGN_OR_RETURN(made.pairs, suites.Paired(suite, metric, &unpaired));
  ATTUNE_ASSIGN_OR_RETURN(
      made.measured, MeasureDifference(metric, made.pairs, confidence, SamplingOf(spec, *result)));
  made.limit = relative ? limit * std::abs(made.measured.champion) : limit;
  const Standing at{made.measured.value, made.measured.bounds.upper, made.limit};
  Fill(made.measured, made.limit, confidence, result);
  result->set_verdict(Judge(made.measured, at, confidence));
  made.text = ChangeText(metric, made.measured, !(at.estimate <= at.limit), confidence);
  if (result->verdict() == v1::GateReport::INCONCLUSIVE) {
    made.open = Undecided(made.measured, at, confidence);
  }
  if (unpaired > 0) made.open += "; " + CountOf(unpaired, "example") + " without a pair left out";
  AddDeciding(
      metric, made.pairs, [&](const Pair& pair) { return metric.WorseThanChampion(pair); }, result);
  return made;
}

v1::GateResult WithoutChampion(v1::GateResult result) {
  result.set_verdict(v1::GateReport::PASSED);
  result.set_explanation("there is no champion yet");
  return result;
}

}  // namespace

Result<std::vector<v1::GateResult>> GoalGates(const Suites& suites, const v1::Goal& goal,
                                              const v1::GatesSpec& spec) {
  std::vector<v1::GateResult> results;
  for (bool maximum : {false, true}) {
    if (maximum ? !goal.has_max() : !goal.has_min()) continue;
    ATTUNE_ASSIGN_OR_RETURN(v1::GateResult result, GoalGate(suites, goal, spec, maximum));
    results.push_back(std::move(result));
  }
  return results;
}

Result<v1::GateResult> ChampionGate(const Suites& suites, const v1::GatesSpec& spec,
                                    bool has_champion) {
  const v1::ChampionGate& gate = spec.champion();
  ATTUNE_ASSIGN_OR_RETURN(Metric metric, Metric::Make(gate.metric().name()));
  v1::GateResult result;
  result.set_gate("champion");
  result.set_name(metric.name());
  if (!has_champion && spec.goals_size() == 0) {
    result.set_verdict(v1::GateReport::INCONCLUSIVE);
    result.set_explanation(
        "there is no champion to compare with and no goal to meet, so nothing was measured: state "
        "a goal, or promote the first version by `attune model promote`");
    return result;
  }
  if (!has_champion) return WithoutChampion(std::move(result));
  ATTUNE_ASSIGN_OR_RETURN(Comparison made, Compare(suites, kGoalSuite, metric, gate.margin(), false,
                                                   gate.confidence(), spec, &result));
  const std::string asked =
      gate.margin() < 0 ? ", at least " + ShortNumber(-gate.margin()) + " better is asked for"
                        : ", margin " + ShortNumber(gate.margin());
  result.set_explanation(made.text + asked + made.open);
  ATTUNE_RETURN_IF_ERROR(AddSlices(metric, made.pairs, true, spec, &result));
  return result;
}

Result<RetentionResult> RetentionGate(const Suites& suites, const v1::Retention& retention,
                                      const v1::GatesSpec& spec, bool has_champion) {
  ATTUNE_ASSIGN_OR_RETURN(Metric metric, Metric::Make(retention.metric().name()));
  RetentionResult result;
  result.gate.set_gate("retention");
  result.gate.set_name(retention.name());
  if (!has_champion) {
    result.gate = WithoutChampion(std::move(result.gate));
    return result;
  }
  ATTUNE_ASSIGN_OR_RETURN(
      Comparison made, Compare(suites, retention.name(), metric, retention.budget(),
                               retention.relative(), retention.confidence(), spec, &result.gate));
  const bool kept = result.gate.verdict() == v1::GateReport::PASSED;
  const bool forgotten = result.gate.verdict() == v1::GateReport::FAILED;
  result.gate.set_explanation((kept        ? "keeps "
                               : forgotten ? "forgets "
                                           : "may forget ") +
                              retention.name() + ": " + made.text + ", budget " +
                              ShortNumber(made.limit) + made.open);
  v1::SkillChange& skill = result.skill.emplace();
  skill.set_skill(retention.name());
  skill.set_metric(metric.name());
  skill.set_before(made.measured.champion);
  skill.set_after(made.measured.candidate);
  skill.set_worse_by(made.measured.value);
  skill.set_lower(made.measured.bounds.lower);
  skill.set_upper(made.measured.bounds.upper);
  skill.set_budget(made.limit);
  skill.set_kept(kept);
  skill.set_confidence(result.gate.confidence());
  return result;
}

}  // namespace attune::gates
