#pragma once

// The schedule spec's keys for people: what docs/schedule-spec.md says.

#include <span>
#include <string>
#include <string_view>

namespace attune::spec {

struct ScheduleKey {
  std::string_view path;  // "trigger.cron"; "[]" stands for an item of a list or an entry of a map
  std::string_view type;
  std::string_view fallback;  // the default; empty: required
  std::string_view doc;
};
std::span<const ScheduleKey> ScheduleKeys();

// The text of docs/schedule-spec.md.
std::string ScheduleMarkdown();

}  // namespace attune::spec
