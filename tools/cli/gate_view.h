#pragma once

// A verdict over a candidate as a person reads it. Pure functions of the message.

#include <string>

#include "attune/v1/gates.pb.h"
#include "tools/cli/job_view.h"

namespace attune::cli {

// examples: also those that decided each gate.
std::string GateReportCard(const v1::GateReport& report, bool examples, const ViewOptions& options);

}  // namespace attune::cli
