#pragma once

// A job's ledger: its plan, what its attempts recorded and what trainers reported, held against
// each other (common/ledger/compare.h).

#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <string>

#include "attune/v1/jobs.pb.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "coordinator/store/database.h"

namespace attune::jobs {

// Thread-safe. What follows from a job's files is kept for the pages after the first, of the few
// jobs that were asked for last, until one of the files changes: some 17 bytes a step.
class LedgerReader {
 public:
  // steps_kept: of all jobs together, but for the one asked for last.
  LedgerReader(Database* database, std::filesystem::path storage, size_t steps_kept = 4'000'000);
  ~LedgerReader();

  // The first page reads files of the size of the plan. kInvalidArgument for a job that trains
  // nothing or a bad page token, kNotFound when the job has no ledger, kDataLoss when a file of it
  // is damaged.
  Result<v1::JobLedger> Read(const v1::Job& job, const v1::GetLedgerRequest& request)
      EXCLUDES(mutex_);

  // How often a job's files were read.
  uint64_t files_read() const EXCLUDES(mutex_);

 private:
  struct Compared;
  struct Kept {
    std::string job_id, stamp;
    std::shared_ptr<const Compared> compared;
  };
  Result<std::shared_ptr<const Compared>> Compare(const std::filesystem::path& run,
                                                  const v1::Job& job) EXCLUDES(mutex_);
  void Keep(Kept newest) EXCLUDES(mutex_);
  Status CompareReports(const std::filesystem::path& run, const v1::Job& job,
                        const Compared& compared, v1::JobLedger* out) const;

  Database* const database_;
  const std::filesystem::path storage_;
  const size_t steps_kept_;
  mutable Mutex mutex_;
  std::deque<Kept> kept_ GUARDED_BY(mutex_);  // the one asked for last is the first
  uint64_t files_read_ GUARDED_BY(mutex_) = 0;
};

}  // namespace attune::jobs
