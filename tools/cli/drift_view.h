#pragma once

// Streams and their windows as a person reads them. Pure functions of the messages.

#include <string>
#include <vector>

#include "attune/v1/drift.pb.h"
#include "tools/cli/job_view.h"
#include "tools/cli/table.h"

namespace attune::cli {

Table StreamTable(const std::vector<v1::Stream>& streams, TimePoint now);

// The stream, the effects of its strongest detectors over the windows, the newest ones, and of the
// last measured one every detector and what is new in it. windows: oldest first, may be empty.
std::string StreamCard(const v1::Stream& stream, const std::vector<v1::Window>& windows,
                       const ViewOptions& options);

}  // namespace attune::cli
