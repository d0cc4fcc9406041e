#include "coordinator/jobs/state_machine.h"

#include <string>

namespace attune::jobs {
namespace {

using v1::Job;

struct Rule {
  JobEvent event;
  Job::State from;
  Job::State to;
};

constexpr Rule kRules[] = {
    {JobEvent::kPlaced, Job::QUEUED, Job::PREPARING},
    {JobEvent::kStepApplied, Job::PREPARING, Job::RUNNING},
    {JobEvent::kStepApplied, Job::RUNNING, Job::RUNNING},
    {JobEvent::kRequeued, Job::PREPARING, Job::QUEUED},
    {JobEvent::kRequeued, Job::RUNNING, Job::QUEUED},
    {JobEvent::kSucceeded, Job::PREPARING, Job::SUCCEEDED},
    {JobEvent::kSucceeded, Job::RUNNING, Job::SUCCEEDED},
    {JobEvent::kFailed, Job::QUEUED, Job::FAILED},
    {JobEvent::kFailed, Job::PREPARING, Job::FAILED},
    {JobEvent::kFailed, Job::RUNNING, Job::FAILED},
    {JobEvent::kCancelled, Job::QUEUED, Job::CANCELLED},
    {JobEvent::kCancelled, Job::PREPARING, Job::CANCELLED},
    {JobEvent::kCancelled, Job::RUNNING, Job::CANCELLED},
    {JobEvent::kCancelled, Job::PAUSED, Job::CANCELLED},
    {JobEvent::kPaused, Job::QUEUED, Job::PAUSED},
    {JobEvent::kPaused, Job::PREPARING, Job::PAUSED},
    {JobEvent::kPaused, Job::RUNNING, Job::PAUSED},
    {JobEvent::kResumed, Job::PAUSED, Job::QUEUED},
    {JobEvent::kResumed, Job::FAILED, Job::QUEUED},
};

}  // namespace

std::string_view Name(JobEvent event) {
  switch (event) {
    case JobEvent::kPlaced:
      return "placed";
    case JobEvent::kStepApplied:
      return "stepped";
    case JobEvent::kRequeued:
      return "requeued";
    case JobEvent::kSucceeded:
      return "succeeded";
    case JobEvent::kFailed:
      return "failed";
    case JobEvent::kCancelled:
      return "cancelled";
    case JobEvent::kPaused:
      return "paused";
    case JobEvent::kResumed:
      return "resumed";
  }
  return "?";
}

std::string StateName(Job::State state) {
  return Job::State_Name(state);
}

bool IsFinal(Job::State state) {
  return state == Job::SUCCEEDED || state == Job::FAILED || state == Job::CANCELLED;
}

bool IsActive(Job::State state) {
  return state == Job::PREPARING || state == Job::RUNNING;
}

Result<Job::State> Next(Job::State state, JobEvent event) {
  std::string allowed;
  for (const Rule& rule : kRules) {
    if (rule.event != event) continue;
    if (rule.from == state) return rule.to;
    allowed += (allowed.empty() ? "" : " or ") + StateName(rule.from);
  }
  return FailedPrecondition("a job that is " + StateName(state) + " cannot be " +
                            std::string(Name(event)) + "; only one that is " + allowed);
}

}  // namespace attune::jobs
