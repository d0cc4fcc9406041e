#pragma once

// Schedules and updates as a person reads them. Pure functions of the messages.

#include <string>
#include <vector>

#include "attune/v1/schedules.pb.h"
#include "tools/cli/job_view.h"
#include "tools/cli/table.h"

namespace attune::cli {

bool IsFinal(v1::Update::State state);
Style StyleOf(v1::Update::State state);

Table ScheduleTable(const std::vector<v1::Schedule>& schedules, TimePoint now);
std::string ScheduleCard(const v1::Schedule& schedule, const ViewOptions& options);
Table UpdateTable(const std::vector<v1::Update>& updates, TimePoint now);
// The way of an update: what, why, the gates in short, what was forgotten, when.
std::string UpdateCard(const v1::Update& update, const ViewOptions& options);
// A line for each gate.
std::string GateLines(const v1::GateReport& report, const ViewOptions& options);
// A line for each skill: before, after, what was forgotten and what of it is certain.
std::string SkillLines(const v1::GateReport& report, const ViewOptions& options);

}  // namespace attune::cli
