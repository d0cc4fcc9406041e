#pragma once

// What a failure means for the job: a pure function, tested as a table.

#include <string>
#include <vector>

#include "common/base/clock.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {

struct Failure {
  enum class Kind {
    kInvalid,     // the user's input
    kNoSpace,     // the storage is full
    kPeerLost,    // a collective failed because of another rank
    kTrainer,     // a trainer ended, or failed, by itself
    kWorker,      // a whole worker is gone
    kNotStarted,  // the trainer never ran, through no fault of the job
    kStopped,     // by SIGTERM from outside: a host that shuts down, `attune down`
  };
  Kind kind = Kind::kTrainer;
  int rank = -1;  // -1: the whole worker
  std::string node;
  std::string cause;  // "killed by signal 9 (SIGKILL)"
  std::vector<std::string> log_tail;
};

struct RetryPolicy {
  uint32_t max_restarts = 3;
  Duration backoff_min = std::chrono::seconds(1);
  Duration backoff_max = std::chrono::seconds(60);
};

struct RetryDecision {
  JobEvent event = JobEvent::kFailed;  // kRequeued, kFailed or kPaused
  bool counted = true;                 // against the restart budget
  TimePoint not_before{};
  std::string reason;
};

// Attempts that ended before this one.
struct Attempts {
  uint32_t restarts = 0;   // lost to failures
  uint32_t uncounted = 0;  // through no fault of the job
};

// jitter in [0, 1) spreads the backoff over its upper half.
RetryDecision DecideRetry(const Failure& failure, const Attempts& before, const RetryPolicy& policy,
                          TimePoint now, double jitter);

// A job paused for want of space goes on when the storage has this much. Each pause in a row
// doubles what must have become free, so that a job that needs a lot does not try again for every
// megabyte.
uint64_t FreeBytesWanted(uint64_t free_bytes, uint32_t pauses_before);

// "rank 1 on node-a: killed by signal 9 (SIGKILL)"
std::string Describe(const Failure& failure);
// Whether a process was asked to end: SIGTERM, or the exit code that shells and trainers use.
bool IsStop(bool signaled, int code);
// "killed by signal 9 (SIGKILL)", "exit code 3"
std::string DescribeExit(bool signaled, int code);

}  // namespace attune::jobs
