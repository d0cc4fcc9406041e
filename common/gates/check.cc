#include "common/gates/check.h"

#include <cmath>
#include <set>
#include <string>

#include "common/gates/metric.h"
#include "common/gates/suites.h"

namespace attune::gates {
namespace {

constexpr int kMaxGates = 32;  // of a kind

Status CheckMetricName(const std::string& name, const std::string& field) {
  Result<Metric> metric = Metric::Make(name);
  return metric.ok() ? Status()
                     : InvalidArgument(field + ": " + metric.status().message()).WithField(field);
}

Status CheckConfidence(double confidence, const std::string& field) {
  if (confidence == 0 || (confidence > 0.5 && confidence <= 0.999)) return Status();
  return InvalidArgument(field +
                         ": a confidence is above 0.5 and at most 0.999, such as 0.95; 0 asks for "
                         "the estimate alone")
      .WithField(field);
}

Status CheckNumber(double number, const std::string& field) {
  if (std::abs(number) <= 1e15) return Status();
  return InvalidArgument(field + ": not a number").WithField(field);
}

Status CheckGoal(const v1::Goal& goal, const std::string& field) {
  ATTUNE_RETURN_IF_ERROR(CheckMetricName(goal.metric().name(), field + ".metric"));
  ATTUNE_RETURN_IF_ERROR(CheckConfidence(goal.confidence(), field + ".confidence"));
  ATTUNE_RETURN_IF_ERROR(CheckNumber(goal.min(), field + ".min"));
  ATTUNE_RETURN_IF_ERROR(CheckNumber(goal.max(), field + ".max"));
  if (goal.has_min() || goal.has_max()) return Status();
  return InvalidArgument(field + ": a goal needs min or max").WithField(field);
}

// One evaluation measures the goal's examples, and its lines hold one score of a metric's name.
Status CheckOneMetric(const v1::MetricSpec& first, const std::string& first_field,
                      const v1::MetricSpec& second, const std::string& field) {
  if (first.name() != second.name() || first.SerializeAsString() == second.SerializeAsString()) {
    return Status();
  }
  return InvalidArgument(field + ": " + second.name() + " differs from that of " + first_field +
                         ", and one evaluation has one score of this name: give both the same "
                         "pattern, schema, judge and labels, or measure one of them under "
                         "gates.retention")
      .WithField(field);
}

Status CheckMetricsOfGoal(const v1::GatesSpec& spec) {
  auto goal = [](int i) { return "gates.goals[" + std::to_string(i) + "].metric"; };
  for (int i = 0; i < spec.goals_size(); ++i) {
    for (int k = i + 1; k < spec.goals_size(); ++k) {
      ATTUNE_RETURN_IF_ERROR(
          CheckOneMetric(spec.goals(i).metric(), goal(i), spec.goals(k).metric(), goal(k)));
    }
    v1::MetricSpec name_alone;
    name_alone.set_name(spec.champion().metric().name());
    // A name alone is the goal's metric.
    if (!spec.champion().required() ||
        spec.champion().metric().SerializeAsString() == name_alone.SerializeAsString()) {
      continue;
    }
    ATTUNE_RETURN_IF_ERROR(CheckOneMetric(spec.goals(i).metric(), goal(i), spec.champion().metric(),
                                          "gates.champion.metric"));
  }
  return Status();
}

Status CheckRetention(const v1::Retention& retention, const std::string& field) {
  ATTUNE_RETURN_IF_ERROR(CheckMetricName(retention.metric().name(), field + ".metric"));
  ATTUNE_RETURN_IF_ERROR(CheckConfidence(retention.confidence(), field + ".confidence"));
  ATTUNE_RETURN_IF_ERROR(CheckNumber(retention.budget(), field + ".budget"));
  if (!retention.name().empty() && retention.name() != kGoalSuite) return Status();
  return InvalidArgument(field + ".name: a skill needs a name other than \"goal\"")
      .WithField(field + ".name");
}

}  // namespace

Status CheckSpec(const v1::GatesSpec& spec) {
  if (spec.goals_size() > kMaxGates || spec.retention_size() > kMaxGates ||
      spec.smoke_size() > kMaxGates || spec.slices_size() > kMaxGates) {
    return InvalidArgument("gates: at most " + std::to_string(kMaxGates) + " of a kind");
  }
  for (int i = 0; i < spec.goals_size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(CheckGoal(spec.goals(i), "gates.goals[" + std::to_string(i) + "]"));
  }
  if (spec.champion().required()) {
    ATTUNE_RETURN_IF_ERROR(
        CheckMetricName(spec.champion().metric().name(), "gates.champion.metric"));
    ATTUNE_RETURN_IF_ERROR(
        CheckConfidence(spec.champion().confidence(), "gates.champion.confidence"));
    ATTUNE_RETURN_IF_ERROR(CheckNumber(spec.champion().margin(), "gates.champion.margin"));
  }
  ATTUNE_RETURN_IF_ERROR(CheckMetricsOfGoal(spec));
  std::set<std::string> skills;
  for (int i = 0; i < spec.retention_size(); ++i) {
    const std::string field = "gates.retention[" + std::to_string(i) + "]";
    ATTUNE_RETURN_IF_ERROR(CheckRetention(spec.retention(i), field));
    if (!skills.insert(spec.retention(i).name()).second) {
      return InvalidArgument(field + ".name: skill " + spec.retention(i).name() + " comes twice")
          .WithField(field + ".name");
    }
  }
  const v1::ArtifactLimits& limits = spec.limits();
  const bool limited = limits.bytes_max() > 0 || limits.first_token_seconds_max() > 0 ||
                       limits.tokens_per_second_min() > 0;
  if (spec.goals().empty() && !spec.champion().required() && spec.retention().empty() &&
      spec.smoke().empty() && !limited) {
    return InvalidArgument(
               "gates: nothing is asked of a candidate; add goals, champion, retention, "
               "smoke or limits")
        .WithField("gates");
  }
  return Status();
}

}  // namespace attune::gates
