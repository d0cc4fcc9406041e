#pragma once

// A job's life as one table. Pure: the controller asks before it changes anything.

#include <string_view>

#include "attune/v1/jobs.pb.h"
#include "common/base/status.h"

namespace attune::jobs {

enum class JobEvent {
  kPlaced,       // all ranks have a slot
  kStepApplied,  // the first, or another, optimizer step
  kRequeued,     // the attempt is over and another one will follow
  kSucceeded,
  kFailed,
  kCancelled,
  kPaused,
  kResumed,
};

std::string_view Name(JobEvent event);
// "RUNNING"
std::string StateName(v1::Job::State state);
// Nothing happens by itself any more. A FAILED job may be resumed.
bool IsFinal(v1::Job::State state);
// A job that has slots, or is about to.
bool IsActive(v1::Job::State state);

// The state after the event, or kFailedPrecondition that says what the state is and what it would
// have to be.
Result<v1::Job::State> Next(v1::Job::State state, JobEvent event);

}  // namespace attune::jobs
