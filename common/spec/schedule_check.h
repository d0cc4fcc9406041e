#pragma once

// Private to this folder.

#include <functional>
#include <string>

#include "attune/v1/schedules.pb.h"

namespace attune::spec {

// Calls wrong(path, message) for everything in a spec, but its job, that is out of range or does
// not fit together.
using ScheduleWrong = std::function<void(const std::string& path, const std::string& message)>;
void CheckScheduleSpec(const v1::ScheduleSpec& spec, const ScheduleWrong& wrong);

}  // namespace attune::spec
