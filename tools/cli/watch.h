#pragma once

#include <deque>
#include <functional>
#include <string>

#include "tools/cli/live.h"
#include "tools/cli/session.h"

namespace attune::cli {

// What the watch line says of a job: state, step, ETA, losses, speed. Feed it every event's job.
class ProgressView {
 public:
  void Observe(const v1::Job& job, double seconds);
  // Cut to width characters; with a bar.
  std::string Drawn(const v1::Job& job, double now, int width, bool color) const;
  // For a log.
  std::string Plain(const v1::Job& job) const;
  // Seconds to the last step, negative when unknown.
  double SecondsLeft(const v1::Job& job) const;

 private:
  struct Sample {
    uint32_t step;
    double seconds;
  };
  static constexpr size_t kSamples = 30;
  std::deque<Sample> samples_;  // the latest steps of this attempt
  uint32_t generation_ = 0;
  uint32_t state_ = 0;
  double state_since_ = 0;
};

// By its id or its name, then the newest of that name.
Result<v1::Job> GetJob(Client& client, const std::string& id_or_name);

// Paused, and not for something that passes, as a storage that is full.
bool StandsStill(const v1::Job& job);

struct WatchOptions {
  bool events_as_lines = false;  // -o jsonl: each event on standard output
  // A task the user waits for: no lines for its events, and a pause that nothing but a person ends
  // (StandsStill) is an end too.
  bool brief = false;
};

// Follows a job from job.sequence to a final state, over restarts of the coordinator. Needs a
// CatchInterrupt in scope to be interruptible. Errors: kCancelled after Ctrl-C (the job goes on),
// kUnavailable when the coordinator stays away for long.
Result<v1::Job> WatchJob(Session& session, Client& client, v1::Job job,
                         const WatchOptions& options);

// The whole of `job watch` and `submit --watch`: follows the job, prints its outcome, returns the
// exit code.
Result<int> FollowToEnd(Session& session, Client& client, const v1::Job& start);

// What a watch prints at the end: "docstrings succeeded in 3m20s: registered docstrings@1, ..."
std::string OutcomeLine(const v1::Job& job);

}  // namespace attune::cli
