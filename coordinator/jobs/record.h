#pragma once

// What the store keeps of a job and of its trainers. The public part is the Job message itself.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/jobs.pb.h"
#include "attune/v1/trainer.pb.h"
#include "common/base/clock.h"

namespace attune::jobs {

// How far the current attempt is; kNone while the job is not PREPARING or RUNNING.
enum class Phase {
  kNone = 0,
  kAttaching = 1,    // trainers are started; not all have dialled in
  kPreparing = 2,    // the ranks tokenize
  kWorking = 3,      // every rank has the main task
  kRegistering = 4,  // the trainers are done; the output becomes a model version
};

// Why a job is PAUSED; the last two are why one is FAILED that would fail again if it were resumed.
enum class PauseCause {
  kNone = 0,
  kUser = 1,
  kNoSpace = 2,
  kLosses = 3,
  kInput = 4,   // what it was submitted with, which is fixed
  kMemory = 5,  // no node has enough for it
};

struct JobRecord {
  v1::Job job;
  int64_t number = 0;  // counts jobs from 1: the order of the queue and of lists
  std::string spec_source;
  Phase phase = Phase::kNone;
  TimePoint phase_since{};
  TimePoint queued{};             // entered the queue (again)
  TimePoint not_before{};         // backoff
  bool pause_requested = false;   // trainers were told to checkpoint and stop
  bool resume_requested = false;  // meanwhile: go on once that is done
  PauseCause pause_cause = PauseCause::kNone;
  uint64_t free_bytes_wanted = 0;  // kNoSpace: resume when the storage has this much
  uint32_t no_space_pauses = 0;    // in a row, without a checkpoint between
  uint32_t checkpoint_step = 0;    // newest durable checkpoint that was reported
  std::string token_sha256;        // of the current attempt's run token
  std::string output_path;         // kRegistering
  uint64_t output_bytes = 0;       // committed length of output.jsonl
};

enum class TrainerState {
  kStarting = 0,  // the worker was, or will be, told to start it
  kRunning = 1,   // it has dialled in
  kStopping = 2,  // it is to end; its slot is still taken
  kExited = 3,
};

struct TrainerRecord {
  std::string id;  // "<job id>-g<generation>-r<rank>"
  std::string job_id;
  uint32_t generation = 0;
  uint32_t rank = 0;
  std::string node;
  uint32_t slot = 0;
  TrainerState state = TrainerState::kStarting;
  uint64_t last_sequence = 0;            // newest report that is committed
  std::string done_task_id;              // the last task it reported as done
  std::optional<v1::TaskFailed> failed;  // reported, and kept until its attempt has ended of it
};

inline void SetTimestamp(google::protobuf::Timestamp* out, TimePoint time) {
  const int64_t micros = time.time_since_epoch().count();
  out->set_seconds(micros / 1'000'000);
  out->set_nanos(static_cast<int32_t>(micros % 1'000'000 * 1000));
}

inline TimePoint GetTimestamp(const google::protobuf::Timestamp& time) {
  return TimePoint(std::chrono::seconds(time.seconds()) +
                   std::chrono::microseconds(time.nanos() / 1000));
}

// The job without its task, of which a request may be as large as a message can be: for events,
// lists and answers.
inline v1::Job WithoutTask(const v1::Job& job) {
  v1::Job copy = job;
  copy.clear_task();
  return copy;
}

// The job gets on: what was lost before no longer counts against it.
inline void ForgetLost(v1::Job* job) {
  job->clear_failures_in_row();
  job->clear_losses_in_row();
  job->clear_avoided_nodes();
}

// The name of a generation, everywhere: "<job id>-g<generation>".
inline std::string RunName(const std::string& job_id, uint32_t generation) {
  return job_id + "-g" + std::to_string(generation);
}
inline std::string TrainerId(const std::string& job_id, uint32_t generation, uint32_t rank) {
  return RunName(job_id, generation) + "-r" + std::to_string(rank);
}

}  // namespace attune::jobs
