#pragma once

// Checkpoints of jobs that have ended, and lines that jobs of people wrote. They exist for the next
// attempt; once a job's model is registered there is none, and those of a job that failed or was
// cancelled are of use only to a person, for a while. What was due and not done (a crash, a disk
// that was away) is done by a later sweep: the folder itself is the record of it. What an
// evaluation had written to measure it, or a trainer under a temporary name, and was killed before
// it could remove it, goes with the first sweep after the job's end. The output of a job that was
// cancelled, while it registered say, goes with its checkpoints.

#include <filesystem>
#include <string>

#include "attune/v1/jobs.pb.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/store/database.h"

namespace attune::jobs {

// Whether the checkpoints of a job, as it is in the store, and its best weights may go. kept: after
// a failure or a cancellation.
bool CheckpointsAreDue(const v1::Job& job, TimePoint now, Duration kept);
// Whether its lines may: those of evaluations and answers that a person asked for. Schedules and
// streams remove those of theirs when they have read them.
bool OutputIsDue(const v1::Job& job, TimePoint now, Duration kept);

// The folder of a job's runs: STORAGE/runs/JOB.
std::filesystem::path RunFolder(const std::filesystem::path& storage, const std::string& job_id);

// Whether a folder of checkpoints, or of best weights, has one that is whole; also when that cannot
// be seen now.
bool HasCheckpoint(const std::filesystem::path& folder);

// Removes what is due of one job. Thread-safe.
Status RemoveCheckpoints(Database* database, const std::filesystem::path& storage,
                         const std::string& job_id, TimePoint now, Duration kept);
// Of all jobs that have a folder; a failure is logged and the next job is looked at.
void SweepCheckpoints(Database* database, const std::filesystem::path& storage, TimePoint now,
                      Duration kept);

}  // namespace attune::jobs
