// ToYaml of a schedule: every value, in the order in which people write them.

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/spec/job_spec.h"
#include "common/spec/schedule_spec.h"
#include "common/yaml/value.h"

namespace attune::spec {
namespace {

std::string Quote(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string Seconds(double seconds) {
  return std::to_string(std::llround(seconds * 1000)) + "ms";
}

std::string Words(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + Quote(word);
  return "[" + out + "]";
}

const char* Flag(bool value) {
  return value ? "true" : "false";
}

// ", metric: regex, pattern: ..." with what the metric needs.
std::string Metric(const v1::MetricSpec& metric, const char* judge_key) {
  std::string out = "metric: " + MetricName(metric.name());
  if (!metric.pattern().empty()) out += ", pattern: " + Quote(metric.pattern());
  if (!metric.schema().empty()) out += ", schema: " + Quote(metric.schema());
  if (!metric.judge().empty()) {
    out += std::string(", ") + judge_key + ": " + Quote(metric.judge());
  }
  if (metric.labels_size() > 0) out += ", labels: " + Words(metric.labels());
  return out;
}

std::string Trigger(const v1::TriggerSpec& trigger) {
  std::string out = "trigger:\n";
  if (!trigger.cron().empty()) out += "  cron: " + Quote(trigger.cron()) + "\n";
  out += "  timezone: " + Quote(trigger.timezone()) + "\n";
  out += "  jitter: " + Seconds(trigger.jitter_seconds()) + "\n";
  out += std::string("  drift: ") + Flag(trigger.drift()) + "\n";
  out += "  new_examples: " + std::to_string(trigger.new_examples()) + "\n";
  out += "  quality: {live_loss_increase: " +
         yaml::FormatNumber(trigger.quality().live_loss_increase()) + "}\n";
  return out;
}

std::string Data(const v1::DataSpec& data) {
  if (data.observe().empty() && data.replay_size() == 0) return "";
  std::string out = "data:\n";
  if (!data.observe().empty()) out += "  observe: " + data.observe() + "\n";
  if (data.replay_size() > 0) out += "  replay:\n";
  for (const v1::ReplaySpec& replay : data.replay()) {
    out += "    - {dataset: " + replay.dataset() +
           ", share: " + yaml::FormatNumber(replay.share()) + "}\n";
  }
  return out;
}

std::string Goals(const v1::GatesSpec& gates) {
  std::string out;
  for (const v1::Goal& goal : gates.goals()) {
    out += "    - {" + Metric(goal.metric(), "name");
    if (goal.has_min()) out += ", min: " + yaml::FormatNumber(goal.min());
    if (goal.has_max()) out += ", max: " + yaml::FormatNumber(goal.max());
    out += ", confidence: " + yaml::FormatNumber(goal.confidence());
    if (!goal.slice_key().empty()) {
      out += ", slice: {" + Quote(goal.slice_key()) + ": " + Quote(goal.slice_value()) + "}";
    }
    out += "}\n";
  }
  return out.empty() ? "" : "  goals:\n" + out;
}

std::string Retention(const v1::GatesSpec& gates) {
  std::string out;
  for (const v1::Retention& skill : gates.retention()) {
    out += "    - {name: " + skill.name() + ", dataset: " + skill.dataset() +
           ", split: " + skill.split() + ", " + Metric(skill.metric(), "judge") +
           ", budget: " + yaml::FormatNumber(skill.budget()) +
           ", confidence: " + yaml::FormatNumber(skill.confidence()) +
           ", relative: " + Flag(skill.relative()) + "}\n";
  }
  return out.empty() ? "" : "  retention:\n" + out;
}

std::string Smoke(const v1::GatesSpec& gates) {
  std::string out;
  for (const v1::SmokePrompt& smoke : gates.smoke()) {
    out += "    - {prompt: " + Quote(smoke.prompt());
    if (!smoke.must_match().empty()) out += ", must_match: " + Quote(smoke.must_match());
    if (!smoke.must_not_match().empty()) {
      out += ", must_not_match: " + Quote(smoke.must_not_match());
    }
    out += ", max_tokens: " + std::to_string(smoke.max_tokens()) + "}\n";
  }
  return out.empty() ? "" : "  smoke:\n" + out;
}

std::string Gates(const v1::GatesSpec& gates) {
  const v1::ChampionGate& champion = gates.champion();
  std::string out = "gates:\n" + Goals(gates);
  out += "  champion: {required: " + std::string(Flag(champion.required())) + ", " +
         Metric(champion.metric(), "judge") + ", margin: " + yaml::FormatNumber(champion.margin()) +
         ", confidence: " + yaml::FormatNumber(champion.confidence()) + "}\n";
  out += Retention(gates) + Smoke(gates);
  out += "  limits: {bytes: " + std::to_string(gates.limits().bytes_max()) +
         ", first_token: " + Seconds(gates.limits().first_token_seconds_max()) +
         ", tokens_per_second: " + yaml::FormatNumber(gates.limits().tokens_per_second_min()) +
         "}\n";
  if (!gates.dtype().empty()) out += "  dtype: " + gates.dtype() + "\n";
  if (gates.slices_size() > 0) out += "  slices: " + Words(gates.slices()) + "\n";
  out += "  max_examples: " + std::to_string(gates.max_examples()) + "\n";
  out += "  seed: " + std::to_string(gates.seed()) + "\n";
  return out;
}

std::string Promote(const v1::PromoteSpec& promote) {
  std::string out = "promote:\n  model: " + promote.model() + "\n  alias: " + promote.alias() +
                    "\n  manual: " + Flag(promote.manual()) + "\n";
  const v1::RollbackSpec& rollback = promote.rollback();
  if (rollback.live_loss_increase() == 0) return out;
  return out +
         "  rollback: {live_loss_increase: " + yaml::FormatNumber(rollback.live_loss_increase()) +
         ", confidence: " + yaml::FormatNumber(rollback.confidence()) +
         ", windows: " + std::to_string(rollback.windows()) + "}\n";
}

std::string Limits(const v1::LimitsSpec& limits) {
  std::string out =
      "limits:\n  gpu_hours_per_week: " + yaml::FormatNumber(limits.gpu_hours_per_week()) +
      "\n  cool_down: " + Seconds(limits.cool_down_seconds()) + "\n  overlap: " + limits.overlap() +
      "\n  catch_up: " + limits.catch_up() + "\n";
  if (limits.blackouts_size() > 0) out += "  blackouts:\n";
  for (const v1::Blackout& blackout : limits.blackouts()) {
    out +=
        "    - {cron: " + Quote(blackout.cron()) + ", for: " + Seconds(blackout.seconds()) + "}\n";
  }
  return out;
}

std::string Indent(const std::string& text) {
  std::string out = "  ";
  for (size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    if (text[i] == '\n' && i + 1 < text.size()) out += "  ";
  }
  return out;
}

}  // namespace

std::string ToYaml(const v1::ScheduleSpec& spec) {
  return "name: " + spec.name() + "\nstart_from: " + spec.start_from() + "\n" +
         Trigger(spec.trigger()) + Data(spec.data()) + Gates(spec.gates()) +
         Promote(spec.promote()) + Limits(spec.limits()) + "job:\n" + Indent(ToYaml(spec.job()));
}

}  // namespace attune::spec
