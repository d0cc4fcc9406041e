#pragma once

// What a failure means for the job: a pure function, tested as a table.

#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {

// Trainer and peer-lost count as the job's own fault; worker, not started, stopped and storage as
// that of what is around it.
struct Failure {
  enum class Kind {
    kInvalid,     // the user's input
    kNoSpace,     // the storage is full
    kNoMemory,    // refused before it began: the run cannot fit into its ranks' memory
    kPeerLost,    // a collective failed because of another rank
    kTrainer,     // a trainer ended, or failed, by itself
    kWorker,      // a whole worker is gone
    kNotStarted,  // the trainer never ran, through no fault of the job
    kStopped,     // by SIGTERM from outside: a host that shuts down, `attune down`
    kStorage,     // files of the cluster's storage are missing, unreadable or damaged where it ran
  };
  Kind kind = Kind::kTrainer;
  int rank = -1;  // -1: the whole worker
  std::string node;
  std::string cause;  // "killed by signal 9 (SIGKILL)"
  std::vector<std::string> log_tail;
};

struct RetryPolicy {
  uint32_t max_restarts = 3;  // failures in a row
  uint32_t max_losses = 10;   // in a row
  Duration backoff_min = std::chrono::seconds(1);
  Duration backoff_max = std::chrono::seconds(60);
};

struct RetryDecision {
  JobEvent event = JobEvent::kFailed;  // kRequeued, kFailed or kPaused
  bool counted = true;                 // as a failure; else as a loss
  TimePoint not_before{};
  std::string reason;
};

// Attempts lost before this one since the last new checkpoint. A job that gets on may lose any
// number; one that does not must not go round for ever.
struct LostInRow {
  uint32_t failures = 0;  // the job's own fault
  uint32_t losses = 0;    // of what is around it
};

// jitter in [0, 1) spreads the backoff over its upper half.
RetryDecision DecideRetry(const Failure& failure, const LostInRow& before,
                          const RetryPolicy& policy, TimePoint now, double jitter);

// Uniform in [0, 1), for DecideRetry.
double Jitter(Random& random);

// The wait before another try after so many that failed: doubles, its upper half drawn at random.
Duration RetryBackoff(uint32_t failed_before, const RetryPolicy& policy, Random& random);

// A job paused for want of space goes on when the storage has this much. Each pause in a row
// doubles what must have become free, so that a job that needs a lot does not try again for every
// megabyte.
uint64_t FreeBytesWanted(uint64_t free_bytes, uint32_t pauses_before);

// "worker", "not_started": a value of a metric's label.
std::string_view Name(Failure::Kind kind);
// "rank 1 on node-a: killed by signal 9 (SIGKILL)"
std::string Describe(const Failure& failure);
// Whether a process was asked to end: SIGTERM, or the exit code that shells and trainers use.
bool IsStop(bool signaled, int code);
// "killed by signal 9 (SIGKILL)", "exit code 3". memory_peak_bytes: what it used at most, 0 where
// that is not known; named for SIGKILL, as that is how the kernel ends who uses too much.
std::string DescribeExit(bool signaled, int code, uint64_t memory_peak_bytes = 0);

}  // namespace attune::jobs
