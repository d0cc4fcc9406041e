#include "coordinator/jobs/state_machine.h"

#include <gtest/gtest.h>

#include <map>

namespace attune::jobs {
namespace {

using v1::Job;

constexpr Job::State kStates[] = {Job::QUEUED,    Job::PREPARING, Job::RUNNING,  Job::PAUSED,
                                  Job::SUCCEEDED, Job::FAILED,    Job::CANCELLED};
constexpr JobEvent kEvents[] = {JobEvent::kPlaced,    JobEvent::kStepApplied, JobEvent::kRequeued,
                                JobEvent::kSucceeded, JobEvent::kFailed,      JobEvent::kCancelled,
                                JobEvent::kPaused,    JobEvent::kResumed};

// Every transition that there is; all others must be refused.
const std::map<std::pair<Job::State, JobEvent>, Job::State> kTable = {
    {{Job::QUEUED, JobEvent::kPlaced}, Job::PREPARING},
    {{Job::QUEUED, JobEvent::kFailed}, Job::FAILED},
    {{Job::QUEUED, JobEvent::kCancelled}, Job::CANCELLED},
    {{Job::QUEUED, JobEvent::kPaused}, Job::PAUSED},
    {{Job::PREPARING, JobEvent::kStepApplied}, Job::RUNNING},
    {{Job::PREPARING, JobEvent::kRequeued}, Job::QUEUED},
    {{Job::PREPARING, JobEvent::kSucceeded}, Job::SUCCEEDED},
    {{Job::PREPARING, JobEvent::kFailed}, Job::FAILED},
    {{Job::PREPARING, JobEvent::kCancelled}, Job::CANCELLED},
    {{Job::PREPARING, JobEvent::kPaused}, Job::PAUSED},
    {{Job::RUNNING, JobEvent::kStepApplied}, Job::RUNNING},
    {{Job::RUNNING, JobEvent::kRequeued}, Job::QUEUED},
    {{Job::RUNNING, JobEvent::kSucceeded}, Job::SUCCEEDED},
    {{Job::RUNNING, JobEvent::kFailed}, Job::FAILED},
    {{Job::RUNNING, JobEvent::kCancelled}, Job::CANCELLED},
    {{Job::RUNNING, JobEvent::kPaused}, Job::PAUSED},
    {{Job::PAUSED, JobEvent::kResumed}, Job::QUEUED},
    {{Job::FAILED, JobEvent::kResumed}, Job::QUEUED},
    {{Job::PAUSED, JobEvent::kCancelled}, Job::CANCELLED},
};

TEST(Next, FollowsTheTable) {
  for (Job::State state : kStates) {
    for (JobEvent event : kEvents) {
      SCOPED_TRACE(StateName(state) + " " + std::string(Name(event)));
      auto next = Next(state, event);
      auto expected = kTable.find({state, event});
      if (expected == kTable.end()) {
        EXPECT_EQ(next.status().code(), StatusCode::kFailedPrecondition);
      } else {
        ASSERT_TRUE(next.ok());
        EXPECT_EQ(*next, expected->second);
      }
    }
  }
}

TEST(Next, SaysWhatIsWrong) {
  EXPECT_EQ(Next(Job::SUCCEEDED, JobEvent::kResumed).status().message(),
            "a job that is SUCCEEDED cannot be resumed; only one that is PAUSED or FAILED");
}

}  // namespace
}  // namespace attune::jobs
