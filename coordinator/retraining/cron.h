#pragma once

// Cron expressions in a time zone (the Rust crates `croner` and `chrono-tz` behind rust/).
//
// Five fields (minute, hour, day of the month, month, day of the week), or six with seconds first,
// or
// @hourly, @daily, @weekly, @monthly, @yearly. Names (MON, JAN), lists, ranges and steps; L and 15W
// in the day of the month, 5L and 1#2 in the day of the week. When both days are restricted, either
// fires; only a lone `*` (or `?`) is no restriction.
//
// When the clocks change, as vixie cron (crontab(5)) has it:
//  - A time that the clocks skip fires once, at the moment when they jump; several that are skipped
//    fire once together.
//  - A time that the clocks repeat fires the first time only.
//  - An expression whose minute or hour begins with a star goes by time that passes: it fires for
//    every match of the wall clock, in both of two repeated hours, and not for a skipped one.
// A change by more than three hours is a change of the zone: what it skips is gone.
//
// The rules of time zones are those of the tz database that the crate was built with (2025b).

#include <memory>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace attune::retraining {

// Immutable; copies share.
class Cron {
 public:
  // kInvalidArgument names the field that is wrong. An expression that fires at no date of the next
  // decades ("0 0 30 2 *") is refused.
  static Result<Cron> Parse(std::string_view expression, std::string_view timezone);

  // The first firing after a time, whole seconds. kFailedPrecondition when there is none within 45
  // years, which Parse leaves only for times far from now.
  Result<TimePoint> Next(TimePoint after) const;
  // "Mon 2026-11-30 03:00:00 CET".
  std::string Local(TimePoint time) const;

 private:
  explicit Cron(std::shared_ptr<void> handle) : handle_(std::move(handle)) {}
  std::shared_ptr<void> handle_;
};

}  // namespace attune::retraining
