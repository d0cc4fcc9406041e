#include "coordinator/retraining/decisions.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "common/base/hash.h"
#include "common/base/text.h"
#include "common/yaml/value.h"
#include "coordinator/jobs/record.h"

namespace attune::retraining {
namespace {

constexpr double kQualityLevel = 0.01;

Duration Seconds(double seconds) {
  return Duration(std::llround(seconds * 1e6));
}

// The last slot in (after, until], without walking all of them: longer and longer stretches before
// until are looked at.
std::optional<TimePoint> LastSlot(const Cron& cron, TimePoint after, TimePoint until) {
  for (Duration back = std::chrono::hours(1);; back *= 24) {
    TimePoint from = std::max(after, until - back);
    std::optional<TimePoint> last;
    for (auto slot = cron.Next(from); slot.ok() && *slot <= until; slot = cron.Next(*slot)) {
      last = *slot;
    }
    if (last || from == after) return last;
  }
}

// The end of the blackout that now lies in.
std::optional<TimePoint> BlackoutEnd(const Cron& cron, Duration length, TimePoint now) {
  auto begin = LastSlot(cron, now - length, now);
  if (!begin || *begin + length <= now) return std::nullopt;
  return *begin + length;
}

// An end counts for so long. One of a clock that was ahead would count for years.
bool Counts(TimePoint end, Duration length, TimePoint now) {
  return end + length > now && end - length < now;
}

// When enough of the week's hours have passed out of it.
std::optional<TimePoint> BudgetFrees(std::vector<std::pair<TimePoint, double>> hours, double limit,
                                     TimePoint now) {
  std::sort(hours.begin(), hours.end());
  double used = HoursThisWeek(hours, now);
  for (const auto& [end, taken] : hours) {
    if (end == TimePoint() || !Counts(end, kWeek, now)) continue;
    used -= taken;
    if (used < limit) return end + kWeek;
  }
  return std::nullopt;
}

StartDecision Wait(std::string reason, std::optional<TimePoint> until) {
  return {StartDecision::kWait, std::move(reason), until};
}

}  // namespace

Duration Jitter(const std::string& schedule, TimePoint slot, double jitter_seconds) {
  if (!(jitter_seconds > 0)) return Duration(0);
  std::string hash =
      Sha256Hex(schedule + "/" + std::to_string(slot.time_since_epoch().count())).substr(0, 15);
  uint64_t draw = std::stoull(hash, nullptr, 16);
  return Duration(
      static_cast<int64_t>(draw % (static_cast<uint64_t>(Seconds(jitter_seconds).count()) + 1)));
}

CronDecision DecideCron(const v1::ScheduleSpec& spec, const Cron& cron, TimePoint looked,
                        TimePoint now) {
  CronDecision decision;
  looked = std::min(looked, now);
  decision.looked = looked;
  auto due = [&](TimePoint slot) {
    return slot + Jitter(spec.name(), slot, spec.trigger().jitter_seconds());
  };
  std::optional<TimePoint> latest = LastSlot(cron, looked, now);
  // The newest slot may wait for its jitter while the one before it is due.
  if (latest && due(*latest) > now) latest = LastSlot(cron, looked, *latest - Duration(1));
  if (latest && due(*latest) <= now) {
    decision.looked = *latest;
    bool late = now - due(*latest) > kOnTime;
    if (!late || spec.limits().catch_up() != "none") decision.fire = *latest;
    uint64_t slots = 0;
    for (auto slot = cron.Next(looked); slot.ok() && *slot <= *latest && slots < kSlotsCounted;
         slot = cron.Next(*slot)) {
      ++slots;
    }
    decision.passed = slots - (decision.fire ? 1 : 0);
  }
  auto next = cron.Next(decision.looked);
  if (next.ok()) decision.next = *next;
  return decision;
}

TimePoint CronDue(const v1::ScheduleSpec& spec, TimePoint looked) {
  if (spec.trigger().cron().empty()) return TimePoint::max();
  auto cron = Cron::Parse(spec.trigger().cron(), spec.trigger().timezone());
  if (!cron.ok()) return looked;
  auto slot = cron->Next(looked);
  if (!slot.ok()) return TimePoint::max();
  return *slot + Jitter(spec.name(), *slot, spec.trigger().jitter_seconds());
}

bool HasStateTrigger(const v1::TriggerSpec& spec) {
  return spec.drift() || spec.new_examples() > 0 || spec.quality().live_loss_increase() > 0;
}

bool IsOfStream(const v1::Seen& seen, const v1::Stream& stream) {
  return seen.stream() == stream.spec().name() &&
         jobs::GetTimestamp(seen.stream_created()) == jobs::GetTimestamp(stream.created());
}

std::optional<Trigger> DecideTriggers(const v1::TriggerSpec& spec, const TriggerFacts& facts) {
  if (spec.drift() && facts.stream && facts.stream->has_alarm_since()) {
    TimePoint since = jobs::GetTimestamp(facts.stream->alarm_since());
    if (!IsOfStream(facts.seen, *facts.stream) || !facts.seen.has_alarm_since() ||
        since > jobs::GetTimestamp(facts.seen.alarm_since())) {
      return Trigger{"drift", facts.stream->reason()};
    }
  }
  const double increase = spec.quality().live_loss_increase();
  if (increase > 0) {
    for (auto window = facts.windows.rbegin(); window != facts.windows.rend(); ++window) {
      if (window->state() != "measured" || window->excluded()) continue;
      const v1::LabelledLoss& loss = window->labelled_loss();
      if (loss.increase() >= increase && loss.p_value() <= kQualityLevel) {
        return Trigger{"quality",
                       "the champion's loss on labelled live data, of the whole text, is higher "
                       "by " +
                           ShortNumber(loss.increase()) + " nats a token in window " +
                           std::to_string(window->number()) + " than in its first windows (limit " +
                           ShortNumber(increase) + ")"};
      }
      break;  // the newest that was measured counts
    }
  }
  if (spec.new_examples() > 0) {
    uint64_t count = facts.new_examples;
    for (const v1::Window& window : facts.windows) {
      if (!window.excluded()) count += window.labelled();
    }
    if (count >= spec.new_examples()) {
      return Trigger{"new_examples", std::to_string(count) +
                                         " new trainable examples since the last update (asked: " +
                                         std::to_string(spec.new_examples()) + ")"};
    }
  }
  return std::nullopt;
}

StartDecision DecideStart(const v1::LimitsSpec& limits, const std::vector<Cron>& blackouts,
                          const LimitFacts& facts, TimePoint now) {
  if (facts.running) {
    if (limits.overlap() != "queue") {
      return {StartDecision::kSkip, *facts.running + " (limits.overlap: skip)", std::nullopt};
    }
    if (facts.waiting > 0) {
      return {StartDecision::kSkip,
              *facts.running + ", and another update waits for its end (limits.overlap: queue)",
              std::nullopt};
    }
    return Wait("waits for the end of the update before: " + *facts.running, std::nullopt);
  }
  for (size_t i = 0; i < blackouts.size(); ++i) {
    Duration length = Seconds(limits.blackouts(static_cast<int>(i)).seconds());
    if (auto end = BlackoutEnd(blackouts[i], length, now)) {
      return Wait("in the blackout '" + limits.blackouts(static_cast<int>(i)).cron() + "' until " +
                      blackouts[i].Local(*end),
                  end);
    }
  }
  if (facts.last_end && Counts(*facts.last_end, Seconds(limits.cool_down_seconds()), now)) {
    TimePoint end = *facts.last_end + Seconds(limits.cool_down_seconds());
    return Wait(
        "cools down until " + FormatUtc(end) + (facts.last.empty() ? "" : " after ") + facts.last,
        end);
  }
  if (limits.gpu_hours_per_week() > 0) {
    double used = HoursThisWeek(facts.gpu_hours, now);
    if (used >= limits.gpu_hours_per_week()) {
      auto until = BudgetFrees(facts.gpu_hours, limits.gpu_hours_per_week(), now);
      return Wait("used " + ShortNumber(used) + " of " + ShortNumber(limits.gpu_hours_per_week()) +
                      " GPU hours in seven days" +
                      (until ? "; the next are free at " + FormatUtc(*until) : ""),
                  until);
    }
  }
  return {};
}

double HoursThisWeek(const std::vector<std::pair<TimePoint, double>>& gpu_hours, TimePoint now) {
  double used = 0;
  for (const auto& [end, hours] : gpu_hours) {
    if (end == TimePoint() || Counts(end, kWeek, now)) used += hours;
  }
  return used;
}

std::string FormatUtc(TimePoint time) {
  std::time_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text;
}

}  // namespace attune::retraining
