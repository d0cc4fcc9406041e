#pragma once

// Jobs, attempts, trainers, metrics and nodes in the store. Every function works inside the
// caller's transaction and throws soci_error as SOCI does (Database turns it into a Status).

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/nodes.pb.h"
#include "common/base/status.h"
#include "coordinator/jobs/record.h"
#include "coordinator/store/database.h"

namespace attune::jobs {

// Gives record.number the next number.
void InsertJob(Transaction& transaction, JobRecord* record);
void SaveJob(Transaction& transaction, const JobRecord& record);
// By id, or by name (the newest of that name). kNotFound when there is none.
Result<v1::Job> FindJob(Transaction& transaction, const std::string& id_or_name);
// One job whatever its state; kDataLoss when it is not there or cannot be read.
Result<JobRecord> LoadJob(Transaction& transaction, const std::string& id);
// How much of its output a job has committed, in its current or last attempt.
struct OutputState {
  v1::Job::State state;
  uint32_t generation;
  uint64_t bytes;
};
// kDataLoss when the job is not there.
Result<OutputState> LoadOutputState(Transaction& transaction, const std::string& id);
// All jobs without a final state, by number. One that cannot be read is left out and logged: it
// must not keep the others from going on.
std::vector<JobRecord> LoadOpenJobs(Transaction& transaction);
// Newest first, without those that cannot be read. kInvalidArgument for a bad page token.
Result<v1::ListJobsResponse> ListJobs(Transaction& transaction, const v1::ListJobsRequest& request);
// The models that open jobs work on, "name@version", and which job: "job-1 is RUNNING".
std::map<std::string, std::string> ModelsInUse(Transaction& transaction);
// By kind and state, those that are none too: {"TRAIN": {"FAILED": 2}}.
using JobCounts = std::map<std::string, std::map<std::string, uint64_t>>;
JobCounts CountJobs(Transaction& transaction);

// When the job that waits longest entered the queue.
std::optional<TimePoint> OldestQueued(Transaction& transaction);
// TRAIN jobs: open ones and the last to end.
std::vector<v1::Job> RecentTrainJobs(Transaction& transaction, size_t open_max, size_t ended_max);
// What Job.applied_seconds is, by a sum over all steps.
double AppliedSeconds(Transaction& transaction, const std::string& job_id);

void SaveTrainer(Transaction& transaction, const TrainerRecord& trainer);
// All that have not exited.
std::vector<TrainerRecord> LoadLiveTrainers(Transaction& transaction);

void StartAttempt(Transaction& transaction, const std::string& job_id, uint32_t generation,
                  uint32_t ranks);
struct AttemptRow {
  uint32_t ranks = 0;
  std::string outcome;  // empty while it runs
};
// Of a job, by generation.
std::map<uint32_t, AttemptRow> LoadAttempts(Transaction& transaction, const std::string& job_id);
void EndAttempt(Transaction& transaction, const std::string& job_id, uint32_t generation,
                const std::string& outcome);

// A step replaces the same step of an earlier attempt; an evaluation likewise.
// Returns by how many seconds the job's applied steps have become longer.
double SaveMetric(Transaction& transaction, const std::string& job_id,
                  const v1::MetricPoint& point);
// Where a reader of metrics is: before the first point when step is 0 and kind is -1.
struct MetricPosition {
  uint32_t step = 0;
  int kind = -1;  // 0: step, 1: evaluation, which follows the step it was made after
};
// Points after the position, which moves on; at most limit.
std::vector<v1::MetricPoint> ReadMetrics(Transaction& transaction, const std::string& job_id,
                                         MetricPosition* position, int limit);

void SaveNode(Transaction& transaction, const v1::Node& node);
void DeleteNode(Transaction& transaction, const std::string& name);
std::vector<v1::Node> LoadNodes(Transaction& transaction);

}  // namespace attune::jobs
