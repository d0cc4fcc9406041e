#include "coordinator/jobs/retry.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "common/base/reasons.h"

namespace attune::jobs {
namespace {

Duration Backoff(uint32_t lost_before, const RetryPolicy& policy, double jitter) {
  Duration full = policy.backoff_min * (int64_t{1} << std::min<uint32_t>(lost_before, 20));
  full = std::min(full, policy.backoff_max);
  return full / 2 + Duration(static_cast<int64_t>(static_cast<double>(full.count()) / 2 * jitter));
}

std::string SignalName(int signal) {
  const char* name = sigabbrev_np(signal);
  return name == nullptr ? "" : " (SIG" + std::string(name) + ")";
}

std::string Amount(uint64_t bytes) {
  char text[32];
  if (bytes < 1 << 30) {
    std::snprintf(text, sizeof text, "%.0f MiB", static_cast<double>(bytes) / (1 << 20));
  } else {
    std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / (1 << 30));
  }
  return text;
}

RetryDecision AfterLoss(const Failure& failure, uint32_t losses, const RetryPolicy& policy,
                        TimePoint now, double jitter) {
  RetryDecision decision;
  decision.counted = false;
  if (losses >= policy.max_losses) {
    decision.event = JobEvent::kPaused;
    decision.reason = Describe(failure) + "; it was tried again " + std::to_string(losses) +
                      " times without a new checkpoint, and goes on with `attune job resume`";
    return decision;
  }
  decision.event = JobEvent::kRequeued;
  decision.not_before = now + Backoff(losses, policy, jitter);
  decision.reason = "tried again, because " + Describe(failure);
  return decision;
}

}  // namespace

RetryDecision DecideRetry(const Failure& failure, const LostInRow& before,
                          const RetryPolicy& policy, TimePoint now, double jitter) {
  RetryDecision decision;
  switch (failure.kind) {
    case Failure::Kind::kInvalid:
    case Failure::Kind::kNoMemory:
      decision.reason = failure.cause;
      return decision;
    case Failure::Kind::kNoSpace:
      decision.event = JobEvent::kPaused;
      decision.counted = false;
      decision.reason = "no space on the storage: " + failure.cause + "; " +
                        std::string(kGoesOnByItself) + " when there is room";
      return decision;
    case Failure::Kind::kWorker:
    case Failure::Kind::kNotStarted:
    case Failure::Kind::kStopped:
    case Failure::Kind::kStorage:
      return AfterLoss(failure, before.losses, policy, now, jitter);
    case Failure::Kind::kPeerLost:
    case Failure::Kind::kTrainer:
      break;
  }
  const uint32_t restarts = before.failures;
  if (restarts >= policy.max_restarts) {
    decision.reason = Describe(failure);
    if (policy.max_restarts > 0) {
      decision.reason += "; restarted " + std::to_string(restarts) +
                         " times without a new checkpoint, the most allowed";
    }
    return decision;
  }
  decision.event = JobEvent::kRequeued;
  decision.not_before = now + Backoff(restarts, policy, jitter);
  decision.reason = "restart " + std::to_string(restarts + 1) + " of " +
                    std::to_string(policy.max_restarts) + ", because " + Describe(failure);
  return decision;
}

double Jitter(Random& random) {
  return static_cast<double>(random.Below(1 << 20)) / (1 << 20);
}

Duration RetryBackoff(uint32_t failed_before, const RetryPolicy& policy, Random& random) {
  return Backoff(failed_before, policy, Jitter(random));
}

uint64_t FreeBytesWanted(uint64_t free_bytes, uint32_t pauses_before) {
  constexpr uint64_t kStepBytes = 16 << 20;
  return free_bytes + (kStepBytes << std::min<uint32_t>(pauses_before, 10));
}

std::string_view Name(Failure::Kind kind) {
  switch (kind) {
    case Failure::Kind::kInvalid:
      return "invalid";
    case Failure::Kind::kNoSpace:
      return "no_space";
    case Failure::Kind::kNoMemory:
      return "no_memory";
    case Failure::Kind::kPeerLost:
      return "peer_lost";
    case Failure::Kind::kTrainer:
      return "trainer";
    case Failure::Kind::kWorker:
      return "worker";
    case Failure::Kind::kNotStarted:
      return "not_started";
    case Failure::Kind::kStopped:
      return "stopped";
    case Failure::Kind::kStorage:
      return "storage";
  }
  return "?";
}

std::string Describe(const Failure& failure) {
  if (failure.rank < 0) return failure.cause;
  return "rank " + std::to_string(failure.rank) + " on " + failure.node + ": " + failure.cause;
}

bool IsStop(bool signaled, int code) {
  return signaled ? code == SIGTERM : code == 128 + SIGTERM;
}

std::string DescribeExit(bool signaled, int code, uint64_t memory_peak_bytes) {
  if (IsStop(signaled, code)) return "stopped from outside (SIGTERM)";
  if (!signaled) return "exit code " + std::to_string(code);
  const std::string killed = "killed by signal " + std::to_string(code) + SignalName(code);
  if (code != SIGKILL || memory_peak_bytes == 0) return killed;
  return killed + ", had used up to " + Amount(memory_peak_bytes) +
         ": the kernel may have run out of memory";
}

}  // namespace attune::jobs
