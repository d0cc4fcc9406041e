#pragma once

// How far a phase of preparing is, told to the observer. Private to this folder.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Tells the observer what is new, and turns its wish to stop into an error.
class PhaseReport {
 public:
  // end: what is done, as it sees it, when this rank has nothing left to do; always told.
  PhaseReport(std::string phase, uint64_t total, uint64_t end, Observer* observer)
      : phase_(std::move(phase)), total_(total), end_(end), observer_(observer) {}

  // As Progress has them.
  Status operator()(uint64_t done, uint64_t own) {
    if (observer_->ShouldStop() != StopRequest::kNone) return Cancelled("stopped while " + phase_);
    // Nothing new is not told: by the silence of all a coordinator finds out that they hang.
    if (told_ && done <= *told_) return Status();
    const auto now = std::chrono::steady_clock::now();
    if (told_ && done < end_ && now < next_) return Status();
    next_ = now + kTellEvery;
    told_ = done;
    Progress report;
    report.phase = phase_;
    report.done = static_cast<double>(done);
    report.total = static_cast<double>(total_);
    report.own = static_cast<double>(own);
    observer_->OnProgress(report);
    return Status();
  }

 private:
  static constexpr std::chrono::milliseconds kTellEvery{100};
  const std::string phase_;
  const uint64_t total_, end_;
  Observer* const observer_;
  std::optional<uint64_t> told_;
  std::chrono::steady_clock::time_point next_{};
};

}  // namespace attune::engine
