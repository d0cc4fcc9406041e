#include "tools/cli/schedule_view.h"

#include "common/base/text.h"
#include "common/gates/text.h"
#include "common/spec/schedule_spec.h"
#include "tools/cli/format.h"
#include "tools/cli/job_view.h"

namespace attune::cli {
namespace {

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string StateText(const v1::Update& update) {
  return v1::Update::State_Name(update.state());
}

std::string TriggerText(const v1::ScheduleSpec& spec) {
  const v1::TriggerSpec& trigger = spec.trigger();
  std::string out;
  auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (!trigger.cron().empty()) add("cron '" + trigger.cron() + "' " + trigger.timezone());
  if (trigger.drift()) add("drift");
  if (trigger.new_examples() > 0) {
    add(std::to_string(trigger.new_examples()) + " new examples");
  }
  if (trigger.quality().live_loss_increase() > 0) {
    add("live loss + " + FormatNumber(trigger.quality().live_loss_increase()));
  }
  return out.empty() ? "by hand only" : out;
}

std::string DataText(const v1::ScheduleSpec& spec) {
  std::string out = spec.data().observe().empty() ? "the newest of the job's data sets"
                                                  : "stream " + spec.data().observe();
  for (const v1::ReplaySpec& replay : spec.data().replay()) {
    out += ", replay of " + replay.dataset() + " " + FormatNumber(replay.share() * 100) + " %";
  }
  return out;
}

std::string GatesText(const v1::GatesSpec& gates) {
  std::string out;
  auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  for (const v1::Goal& goal : gates.goals()) {
    std::string text = spec::MetricName(goal.metric().name());
    if (goal.has_min()) text += " >= " + FormatNumber(goal.min());
    if (goal.has_max()) text += " <= " + FormatNumber(goal.max());
    text += goal.confidence() == 0 ? " (the estimate alone)"
                                   : " (" + gates::Percent(goal.confidence()) + " sure)";
    add(text);
  }
  if (gates.champion().required()) add("not worse than the champion");
  for (const v1::Retention& skill : gates.retention()) add("keeps " + skill.name());
  if (gates.smoke_size() > 0) add(std::to_string(gates.smoke_size()) + " smoke prompts");
  return out;
}

std::string LimitsText(const v1::LimitsSpec& limits, double used) {
  std::string out;
  auto add = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (limits.gpu_hours_per_week() > 0) {
    add(FormatShort(used) + " of " + FormatNumber(limits.gpu_hours_per_week()) +
        " GPU hours this week");
  } else if (used > 0) {
    add(FormatShort(used) + " GPU hours this week");
  }
  if (limits.cool_down_seconds() > 0) add("cool-down " + FormatSeconds(limits.cool_down_seconds()));
  for (const v1::Blackout& blackout : limits.blackouts()) {
    add("not for " + FormatSeconds(blackout.seconds()) + " after '" + blackout.cron() + "'");
  }
  return out;
}

// " (by at least 0.31, 95 % sure)", where anything was estimated.
std::string BoundText(const v1::SkillChange& skill, bool forgotten) {
  if (skill.confidence() == 0 || skill.lower() == skill.upper()) return "";
  const gates::Side side = forgotten ? gates::Side::kAtLeast : gates::Side::kAtMost;
  const double bound = forgotten ? skill.lower() : skill.upper();
  return " (" + gates::WorseByBound(skill.worse_by(), side, bound, skill.confidence()) + ")";
}

Style StyleOfVerdict(v1::GateReport::Verdict verdict) {
  return verdict == v1::GateReport::PASSED   ? Style::kGreen
         : verdict == v1::GateReport::FAILED ? Style::kRed
                                             : Style::kYellow;
}

}  // namespace

bool IsFinal(v1::Update::State state) {
  return state >= v1::Update::PROMOTED;
}

Style StyleOf(v1::Update::State state) {
  switch (state) {
    case v1::Update::PROMOTED:
    case v1::Update::WATCHING:
      return Style::kGreen;
    case v1::Update::FAILED:
    case v1::Update::ROLLED_BACK:
      return Style::kRed;
    case v1::Update::KEPT:
    case v1::Update::WAITING:
      return Style::kYellow;
    case v1::Update::SKIPPED:
    case v1::Update::CANCELLED:
      return Style::kDim;
    default:
      return Style::kCyan;
  }
}

Table ScheduleTable(const std::vector<v1::Schedule>& schedules, TimePoint now) {
  Table table({{.header = "NAME", .shrinks = true},
               {.header = "STATE"},
               {.header = "NEXT"},
               {.header = "UPDATES", .right = true, .optional = true},
               {.header = "GPU H/WEEK", .right = true, .optional = true},
               {.header = "REASON", .shrinks = true, .optional = true}});
  for (const v1::Schedule& schedule : schedules) {
    table.Add({schedule.spec().name(), schedule.state(),
               schedule.has_next() ? FormatLocalTime(schedule.next()) : "-",
               std::to_string(schedule.updates()), FormatShort(schedule.gpu_hours_this_week()),
               schedule.reason()});
  }
  return table;
}

std::string ScheduleCard(const v1::Schedule& schedule, const ViewOptions& options) {
  const v1::ScheduleSpec& spec = schedule.spec();
  Card card(options);
  card.Title(spec.name());
  card.Row("State", schedule.state() + (schedule.reason().empty() ? "" : ": " + schedule.reason()));
  card.Row("Next", schedule.has_next() ? FormatLocalTime(schedule.next()) : "");
  card.Row("Trigger", TriggerText(spec));
  card.Row("Data", DataText(spec));
  card.Row("Starts from", spec.start_from() == "base"
                              ? spec.job().base()
                              : spec.promote().model() + "@" + spec.promote().alias() + ", else " +
                                    spec.job().base());
  card.Row("Trains", LengthText(spec.job().train()));
  card.Row("Gates", GatesText(spec.gates()));
  card.Row("Promotes", spec.promote().model() + "@" + spec.promote().alias() +
                           (spec.promote().manual() ? ", by hand" : ""));
  card.Row("Limits", LimitsText(spec.limits(), schedule.gpu_hours_this_week()));
  card.Row("Updates",
           std::to_string(schedule.updates()) +
               (schedule.last_update().empty() ? "" : ", last " + schedule.last_update()));
  card.Row("Changed", FormatLocalTime(schedule.changed()));
  return card.Render();
}

Table UpdateTable(const std::vector<v1::Update>& updates, TimePoint now) {
  Table table({{.header = "ID"},
               {.header = "STATE"},
               {.header = "TRIGGER"},
               {.header = "CANDIDATE", .shrinks = true},
               {.header = "CHAMPION", .shrinks = true, .optional = true},
               {.header = "GPU H", .right = true, .optional = true},
               {.header = "AGE", .right = true, .optional = true},
               {.header = "REASON", .shrinks = true, .optional = true}});
  for (const v1::Update& update : updates) {
    table.Add({update.id(),
               {StateText(update), StyleOf(update.state())},
               update.trigger(),
               update.candidate(),
               update.champion(),
               FormatShort(update.gpu_hours()),
               FormatAge(update.created(), now),
               update.reason()});
  }
  return table;
}

std::string GateLines(const v1::GateReport& report, const ViewOptions& options) {
  std::string out;
  for (const v1::GateResult& gate : report.gates()) {
    std::string verdict = v1::GateReport::Verdict_Name(gate.verdict());
    out += (out.empty() ? "" : "\n") +
           Paint(verdict + std::string(verdict.size() < 12 ? 12 - verdict.size() : 0, ' '),
                 StyleOfVerdict(gate.verdict()), options.color) +
           "  " + gate.gate() + (gate.name().empty() ? "" : " " + gate.name()) + ": " +
           gate.explanation();
  }
  return out;
}

std::string SkillLines(const v1::GateReport& report, const ViewOptions& options) {
  std::string out;
  for (const v1::SkillChange& skill : report.skills()) {
    const bool forgotten = skill.worse_by() > skill.budget();
    const std::string word = skill.kept() ? "kept" : forgotten ? "forgotten" : "uncertain";
    const Style style = skill.kept() ? Style::kGreen : forgotten ? Style::kRed : Style::kYellow;
    out += (out.empty() ? "" : "\n") + skill.skill() + "  " + Paint(word, style, options.color) +
           "  " + skill.metric() + " " + ShortNumber(skill.before()) + " -> " +
           ShortNumber(skill.after()) + ", " + gates::WorseBy(skill.worse_by()) +
           BoundText(skill, forgotten) + ", budget " + ShortNumber(skill.budget());
  }
  return out;
}

std::string UpdateCard(const v1::Update& update, const ViewOptions& options) {
  Card card(options);
  card.Title(update.id());
  card.Row("Schedule", update.schedule());
  card.Row("State", StateText(update), StyleOf(update.state()));
  card.Row("Reason", update.reason());
  card.Row("Trigger", update.trigger() +
                          (update.trigger_detail().empty() ? "" : ": " + update.trigger_detail()));
  card.Row("Data", Joined(update.datasets()));
  if (update.last_window() > 0) {
    std::string windows =
        std::to_string(update.first_window()) + " to " + std::to_string(update.last_window());
    for (uint64_t number : update.excluded_windows()) {
      windows += ", without " + std::to_string(number);
    }
    card.Row("Windows", windows);
  }
  card.Row("Champion", update.champion());
  card.Row("Candidate", update.candidate());
  card.Row("Job", update.job_id());
  card.Row("Evaluations", Joined(update.evaluation_job_ids()));
  card.Row("GPU hours", update.gpu_hours() > 0 ? FormatShort(update.gpu_hours()) : "");
  card.Row("Gates", GateLines(update.report(), options));
  card.Row("Skills", SkillLines(update.report(), options));
  std::string way;
  for (const v1::UpdateEvent& event : update.events()) {
    way += (way.empty() ? "" : "\n") + FormatLocalTime(event.time()) + "  " + event.type() +
           (event.message().empty() ? "" : ": " + event.message());
  }
  card.Row("Way", way);
  return card.Render();
}

}  // namespace attune::cli
