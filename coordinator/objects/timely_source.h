#pragma once

// A source whose calls end in time, whatever the one below does: a network file system that hangs
// cannot be interrupted, nor can a bucket that sends a byte now and then. So each call runs on a
// thread of its own. When nothing came for too long, or the patience was ended, the call returns
// and that thread is given up: it holds the source below and nothing else, and ends when its call
// does. Until then further calls fail at once, so that a source never loses more than one thread.

#include <chrono>
#include <memory>

#include "coordinator/objects/object_source.h"

namespace attune::objects {

// What sources wait with. Shared by them; thread-safe.
class Patience {
 public:
  // most: without a list, or without the next bytes of a file.
  explicit Patience(std::chrono::milliseconds most);
  ~Patience();

  // For good: all calls return kUnavailable, those that wait now too.
  void End();

  // open is called when the source is first used, as that may wait too. kDeadlineExceeded: nothing
  // came in time, now or in an earlier call that has not ended yet.
  using Open = std::function<Result<std::unique_ptr<ObjectSource>>()>;
  std::unique_ptr<ObjectSource> Bound(const std::string& address, Open open) const;

 private:
  friend class TimelySource;
  struct State;
  const std::shared_ptr<State> state_;
};

// Calls of all sources that have not ended; when nobody waits for one any more, those that were
// given up. Their sources are not freed yet.
int CallsUnderWay();

}  // namespace attune::objects
