#pragma once

// The schedule spec's keys for people: what docs/schedule-spec.md says.

#include <span>
#include <string>

#include "common/spec/key_table.h"

namespace attune::spec {

std::span<const SpecKey> ScheduleKeys();

// The text of docs/schedule-spec.md.
std::string ScheduleMarkdown();

}  // namespace attune::spec
