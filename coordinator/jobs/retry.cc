#include "coordinator/jobs/retry.h"

#include <algorithm>
#include <csignal>
#include <cstring>

namespace attune::jobs {
namespace {

Duration Backoff(uint32_t restarts, const RetryPolicy& policy, double jitter) {
  Duration full = policy.backoff_min * (int64_t{1} << std::min<uint32_t>(restarts, 20));
  full = std::min(full, policy.backoff_max);
  return full / 2 + Duration(static_cast<int64_t>(static_cast<double>(full.count()) / 2 * jitter));
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? "" : " (SIG" + std::string(name) + ")";
}

}  // namespace

RetryDecision DecideRetry(const Failure& failure, const Attempts& before, const RetryPolicy& policy,
                          TimePoint now, double jitter) {
  RetryDecision decision;
  const uint32_t restarts = before.restarts;
  switch (failure.kind) {
    case Failure::Kind::kInvalid:
      decision.reason = failure.cause;
      return decision;
    case Failure::Kind::kNoSpace:
      decision.event = JobEvent::kPaused;
      decision.counted = false;
      decision.reason =
          "no space on the storage: " + failure.cause + "; goes on by itself when there is room";
      return decision;
    case Failure::Kind::kNotStarted:
    case Failure::Kind::kStopped:
      decision.event = JobEvent::kRequeued;
      decision.counted = false;
      decision.not_before = now + Backoff(before.uncounted, policy, jitter);
      decision.reason = "tried again, because " + Describe(failure);
      return decision;
    case Failure::Kind::kPeerLost:
    case Failure::Kind::kTrainer:
    case Failure::Kind::kWorker:
      break;
  }
  if (restarts >= policy.max_restarts) {
    decision.reason = Describe(failure);
    if (policy.max_restarts > 0) {
      decision.reason += "; restarted " + std::to_string(restarts) + " times, the most allowed";
    }
    return decision;
  }
  decision.event = JobEvent::kRequeued;
  decision.not_before = now + Backoff(restarts, policy, jitter);
  decision.reason = "restart " + std::to_string(restarts + 1) + " of " +
                    std::to_string(policy.max_restarts) + ", because " + Describe(failure);
  return decision;
}

uint64_t FreeBytesWanted(uint64_t free_bytes, uint32_t pauses_before) {
  constexpr uint64_t kStepBytes = 16 << 20;
  return free_bytes + (kStepBytes << std::min<uint32_t>(pauses_before, 10));
}

std::string Describe(const Failure& failure) {
  if (failure.rank < 0) return failure.cause;
  return "rank " + std::to_string(failure.rank) + " on " + failure.node + ": " + failure.cause;
}

bool IsStop(bool signaled, int code) {
  return signaled ? code == SIGTERM : code == 128 + SIGTERM;
}

std::string DescribeExit(bool signaled, int code) {
  if (IsStop(signaled, code)) return "stopped from outside (SIGTERM)";
  if (signaled) return "killed by signal " + std::to_string(code) + SignalName(code);
  return "exit code " + std::to_string(code);
}

}  // namespace attune::jobs
