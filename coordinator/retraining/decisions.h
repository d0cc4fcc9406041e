#pragma once

// When an update begins: pure functions of what was recorded. They call no clock and look at
// nothing; each says why.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attune/v1/drift.pb.h"
#include "attune/v1/schedules.pb.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/retraining/cron.h"

namespace attune::retraining {

// A slot that is later than this was passed by while nobody looked (catch_up).
inline constexpr std::chrono::seconds kOnTime{60};
inline constexpr std::chrono::hours kWeek{24 * 7};

// How much later than its slot a schedule starts: in [0, jitter], the same for the same schedule
// and slot.
Duration Jitter(const std::string& schedule, TimePoint slot, double jitter_seconds);

// What cron asks for now.
struct CronDecision {
  std::optional<TimePoint> fire;  // the slot; its update is to be made
  TimePoint looked;               // slots up to here are seen to
  std::optional<TimePoint> next;  // slot
  uint64_t passed = 0;            // slots that will not fire; counted up to kSlotsCounted
};
inline constexpr uint64_t kSlotsCounted = 1000;
// looked: slots up to there were seen to before; when that is to come, the clock was set back, and
// slots from now on are. Of several that are due the latest fires, or none if catch_up is "none"
// and it is late. spec: the schedule's name, trigger and limits.
CronDecision DecideCron(const v1::ScheduleSpec& spec, const Cron& cron, TimePoint looked,
                        TimePoint now);

// When DecideCron has something to say: the first slot after looked, with its jitter. An expression
// that cannot be read any more is due, so that somebody hears of it; max(): never.
TimePoint CronDue(const v1::ScheduleSpec& spec, TimePoint looked);
// Something other than cron may ask for an update.
bool HasStateTrigger(const v1::TriggerSpec& spec);

// What else may ask for an update.
struct TriggerFacts {
  v1::Seen seen;                     // by the newest update, whatever became of it
  std::optional<v1::Stream> stream;  // that is observed
  std::vector<v1::Window> windows;   // after those seen, oldest first
  uint64_t new_examples = 0;         // without a stream: in the data set since then
};
struct Trigger {
  std::string kind;    // "drift", "new_examples", "quality"
  std::string detail;  // one sentence with the numbers
};
// Of a stream that was deleted and made again, nothing was seen.
bool IsOfStream(const v1::Seen& seen, const v1::Stream& stream);
// The first that asks, if any. Each asks once: what the newest update has seen asks for nothing.
// Neither do the examples and the quality of an excluded window.
std::optional<Trigger> DecideTriggers(const v1::TriggerSpec& spec, const TriggerFacts& facts);

// Whether an update may start. An end that lies further ahead than the time it counts for is of a
// clock that was wrong, and counts for nothing.
struct LimitFacts {
  std::optional<std::string> running;  // another update of the schedule, and its state
  uint64_t waiting = 0;                // updates before this one that wait
  std::string last;                    // the update that ended, or was promoted, last
  std::optional<TimePoint> last_end;   // when
  std::vector<std::pair<TimePoint, double>> gpu_hours;  // (end, hours); end 1970: not yet
};
struct StartDecision {
  enum Kind { kStart, kWait, kSkip };
  Kind kind = kStart;
  std::string reason;
  std::optional<TimePoint> until;  // kWait: when to look again; unset: when something changes
};
// blackouts: the cron expressions of limits.blackouts, in their order.
StartDecision DecideStart(const v1::LimitsSpec& limits, const std::vector<Cron>& blackouts,
                          const LimitFacts& facts, TimePoint now);

// In the seven days before now.
double HoursThisWeek(const std::vector<std::pair<TimePoint, double>>& gpu_hours, TimePoint now);

// "2026-11-30 03:00:00 UTC"
std::string FormatUtc(TimePoint time);

}  // namespace attune::retraining
