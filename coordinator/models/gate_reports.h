#pragma once

// What the gates said of candidates. Every function works inside the caller's transaction and
// throws soci_error as SOCI does. The facts that a verdict followed from are a file, whose path the
// report has.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"
#include "coordinator/store/database.h"

namespace attune::models {

// By report.candidate, "name@version"; replaces an earlier one.
void SaveGateReport(Transaction& transaction, const v1::GateReport& report);
// kNotFound when no gates have decided on the candidate.
Result<v1::GateReport> FindGateReport(Transaction& transaction, const std::string& candidate);

// Hands the bytes of the report's facts to take, at most 1 MiB at a time; take's error ends it.
// Errors: kFailedPrecondition for a path that is not below STORAGE/gates, kNotFound, and kDataLoss
// at the end when they are not those of the report's checksum.
Status ReadGateFacts(const std::filesystem::path& storage, const v1::GateReport& report,
                     const std::function<Status(std::string_view)>& take);

}  // namespace attune::models
