#pragma once

// A job's ledger: its plan, what its attempts recorded and what trainers reported, held against
// each other (common/ledger/compare.h).

#include <filesystem>

#include "attune/v1/jobs.pb.h"
#include "common/base/status.h"
#include "coordinator/store/database.h"

namespace attune::jobs {

// Thread-safe; reads files of the size of the plan. kInvalidArgument for a job that trains nothing
// or a bad page token, kNotFound when the job has no ledger, kDataLoss when a file of it is
// damaged.
Result<v1::JobLedger> ReadLedger(Database* database, const std::filesystem::path& storage,
                                 const v1::Job& job, const v1::GetLedgerRequest& request);

}  // namespace attune::jobs
