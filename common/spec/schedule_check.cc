#include "common/spec/schedule_check.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "common/base/files.h"
#include "common/scoring/metrics.h"
#include "common/spec/job_spec.h"
#include "common/spec/schedule_spec.h"
#include "common/yaml/value.h"

namespace attune::spec {
namespace {

constexpr int kListMax = 64;
constexpr double kDay = 86400;

// Collects complaints about one section.
class Checker {
 public:
  Checker(std::string section, const ScheduleWrong& wrong)
      : prefix_(section.empty() ? "" : section + "."), wrong_(wrong) {}

  void Fail(const std::string& key, const std::string& message) const {
    wrong_(prefix_ + key, prefix_ + key + " " + message);
  }
  // low and high included.
  void Number(const std::string& key, double value, double low, double high) const {
    if (std::isfinite(value) && value >= low && value <= high) return;
    Fail(key, "must be a number from " + yaml::FormatNumber(low) + " to " +
                  yaml::FormatNumber(high) + ", not '" + yaml::FormatNumber(value) + "'");
  }
  void Word(const std::string& key, const std::string& value,
            const std::vector<std::string>& words) const {
    if (std::find(words.begin(), words.end(), value) != words.end()) return;
    std::string list;
    for (const std::string& word : words) list += (list.empty() ? "" : ", ") + word;
    Fail(key, "must be one of " + list + ", not '" + value + "'");
  }
  void Count(const std::string& key, int count) const {
    if (count > kListMax) Fail(key, "must list at most 64");
  }
  void Reference(const std::string& key, const std::string& value) const {
    if (!IsReference(value)) {
      Fail(key, "must be a data set's NAME or NAME@VERSION, not '" + value + "'");
    }
  }

 private:
  const std::string prefix_;
  const ScheduleWrong& wrong_;
};

std::string Item(const std::string& list, int index) {
  return list + "[" + std::to_string(index) + "]";
}

void CheckMetric(const Checker& check, const v1::MetricSpec& metric) {
  const auto kind = scoring::KindOfMetric(metric.name());
  if (!kind) {
    check.Fail("metric",
               "must be one of " + scoring::MetricNames() + ", not '" + metric.name() + "'");
  }
  if (metric.name() == "regex" && metric.pattern().empty()) check.Fail("pattern", "is required");
  if (metric.name() == "json_schema" && metric.schema().empty()) {
    check.Fail("schema", "is required: a file, or the schema itself");
  }
  if (metric.name() == "judge" && metric.judge().empty()) {
    check.Fail("name", "is required: a judge that the worker's configuration names");
  }
  if (kind == scoring::MetricKind::kLabels && metric.labels_size() < 2) {
    check.Fail("labels", "must list two labels at least: the completions to choose from");
  }
}

void CheckTrigger(const v1::ScheduleSpec& spec, const ScheduleWrong& wrong) {
  Checker check("trigger", wrong);
  const v1::TriggerSpec& trigger = spec.trigger();
  check.Number("jitter", trigger.jitter_seconds(), 0, kDay);
  if (trigger.timezone().empty()) check.Fail("timezone", "is required, such as UTC");
  check.Number("quality.live_loss_increase", trigger.quality().live_loss_increase(), 0, 1000);
  const char* needs = "needs data.observe: the stream of live data that shows it";
  if (!spec.data().observe().empty()) return;
  if (trigger.drift()) check.Fail("drift", needs);
  if (trigger.quality().live_loss_increase() > 0) check.Fail("quality", needs);
}

void CheckData(const v1::DataSpec& data, const ScheduleWrong& wrong) {
  Checker check("data", wrong);
  if (!data.observe().empty() && !IsValidName(data.observe())) {
    check.Fail("observe", "must be a stream's name, not '" + data.observe() + "'");
  }
  check.Count("replay", data.replay_size());
  double shares = 0;
  for (int i = 0; i < data.replay_size(); ++i) {
    const v1::ReplaySpec& replay = data.replay(i);
    check.Reference(Item("replay", i) + ".dataset", replay.dataset());
    check.Number(Item("replay", i) + ".share", replay.share(), 0.001, 0.99);
    shares += replay.share();
  }
  if (shares > 0.99) {
    check.Fail("replay", "must leave something to the new data: the shares add up to " +
                             yaml::FormatNumber(shares));
  }
}

void CheckGoals(const v1::GatesSpec& gates, const ScheduleWrong& wrong) {
  Checker("gates", wrong).Count("goals", gates.goals_size());
  for (int i = 0; i < gates.goals_size(); ++i) {
    const v1::Goal& goal = gates.goals(i);
    Checker check(Item("gates.goals", i), wrong);
    CheckMetric(check, goal.metric());
    if (goal.confidence() != 0) check.Number("confidence", goal.confidence(), 0.51, 0.999);
    if (!goal.has_min() && !goal.has_max()) check.Fail("min", "or max must be given");
    if (goal.has_min() && goal.has_max() && goal.min() > goal.max()) {
      check.Fail("min", "is more than max: nothing can meet both");
    }
    if (goal.slice_key().empty() != goal.slice_value().empty()) {
      check.Fail("slice", "must be one key of the rows' metadata with its value");
    }
  }
}

void CheckRetention(const v1::GatesSpec& gates, const ScheduleWrong& wrong) {
  Checker("gates", wrong).Count("retention", gates.retention_size());
  std::set<std::string> names = {"goal"};
  for (int i = 0; i < gates.retention_size(); ++i) {
    const v1::Retention& retention = gates.retention(i);
    Checker check(Item("gates.retention", i), wrong);
    CheckMetric(check, retention.metric());
    if (retention.dataset() != kChampionData) check.Reference("dataset", retention.dataset());
    check.Word("split", retention.split(), {"validation", "train"});
    check.Number("budget", retention.budget(), 0, 1e6);
    check.Number("confidence", retention.confidence(), 0.51, 0.999);
    if (!IsValidName(retention.name())) check.Fail("name", "is required: the skill");
    if (!names.insert(retention.name()).second) {
      check.Fail("name", "'" + retention.name() + "' is taken: each skill has a name of its own");
    }
  }
}

void CheckGates(const v1::GatesSpec& gates, const ScheduleWrong& wrong) {
  CheckGoals(gates, wrong);
  CheckRetention(gates, wrong);
  if (gates.champion().required()) {
    Checker check("gates.champion", wrong);
    CheckMetric(check, gates.champion().metric());
    check.Number("margin", gates.champion().margin(), -1e6, 1e6);
    check.Number("confidence", gates.champion().confidence(), 0.51, 0.999);
  }
  Checker check("gates", wrong);
  check.Count("smoke", gates.smoke_size());
  for (int i = 0; i < gates.smoke_size(); ++i) {
    if (gates.smoke(i).prompt().empty()) check.Fail(Item("smoke", i) + ".prompt", "is required");
    check.Number(Item("smoke", i) + ".max_tokens", gates.smoke(i).max_tokens(), 1, 4096);
  }
  check.Number("limits.first_token", gates.limits().first_token_seconds_max(), 0, 3600);
  check.Number("limits.tokens_per_second", gates.limits().tokens_per_second_min(), 0, 1e9);
  check.Count("slices", gates.slices_size());
  if (!gates.dtype().empty()) {
    check.Word("dtype", gates.dtype(), {"float32", "bfloat16", "float16"});
  }
}

void CheckPromote(const v1::ScheduleSpec& spec, const ScheduleWrong& wrong) {
  Checker check("promote", wrong);
  const v1::PromoteSpec& promote = spec.promote();
  if (!IsValidName(promote.model())) {
    check.Fail("model", "must be a model's name, not '" + promote.model() + "'");
  }
  const std::string& alias = promote.alias();
  bool letters = std::all_of(alias.begin(), alias.end(), [](unsigned char c) {
    return std::islower(c) || std::isdigit(c) || c == '_' || c == '-';
  });
  if (alias.empty() || alias.size() > 63 || !std::islower(static_cast<unsigned char>(alias[0])) ||
      !letters) {
    check.Fail("alias", "must be a letter and then a-z, 0-9, '_' or '-', not '" + alias + "'");
  }
  const v1::RollbackSpec& rollback = promote.rollback();
  check.Number("rollback.live_loss_increase", rollback.live_loss_increase(), 0, 1000);
  if (rollback.live_loss_increase() == 0) return;
  check.Number("rollback.confidence", rollback.confidence(), 0.51, 0.999);
  check.Number("rollback.windows", rollback.windows(), 1, 1000);
  if (spec.data().observe().empty()) {
    check.Fail("rollback", "needs data.observe: the stream of live data that is watched");
  }
}

void CheckLimits(const v1::LimitsSpec& limits, const ScheduleWrong& wrong) {
  Checker check("limits", wrong);
  check.Number("gpu_hours_per_week", limits.gpu_hours_per_week(), 0, 1e6);
  check.Number("cool_down", limits.cool_down_seconds(), 0, 366 * kDay);
  check.Word("overlap", limits.overlap(), {"skip", "queue"});
  check.Word("catch_up", limits.catch_up(), {"latest", "none"});
  check.Count("blackouts", limits.blackouts_size());
  for (int i = 0; i < limits.blackouts_size(); ++i) {
    if (limits.blackouts(i).cron().empty()) {
      check.Fail(Item("blackouts", i) + ".cron", "is required: when it begins");
    }
    check.Number(Item("blackouts", i) + ".for", limits.blackouts(i).seconds(), 1, 31 * kDay);
  }
}

}  // namespace

std::string MetricName(const std::string& name) {
  return name == "loss" ? "validation_loss" : name;
}

void CheckScheduleSpec(const v1::ScheduleSpec& spec, const ScheduleWrong& wrong) {
  Checker check("", wrong);
  if (!IsValidName(spec.name())) {
    check.Fail("name", "must be 1 to 63 of a-z, 0-9, '.', '_' and '-', first a letter or a digit");
  }
  check.Word("start_from", spec.start_from(), {"champion", "base"});
  CheckTrigger(spec, wrong);
  CheckData(spec.data(), wrong);
  CheckGates(spec.gates(), wrong);
  CheckPromote(spec, wrong);
  CheckLimits(spec.limits(), wrong);
}

Status ValidateScheduleSpec(const v1::ScheduleSpec& spec) {
  Status first;
  CheckScheduleSpec(spec, [&](const std::string& path, const std::string& message) {
    if (first.ok()) first = InvalidArgument(message).WithField(path);
  });
  if (!first.ok()) return first;
  Status job = ValidateJobSpec(spec.job());
  if (job.ok()) return job;
  return InvalidArgument("job: " + job.message()).WithField("job." + job.field());
}

}  // namespace attune::spec
