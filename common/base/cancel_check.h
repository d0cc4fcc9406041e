#pragma once

// Whether whoever waits for a long piece of work has gone. Each copy counts its own steps, of one
// thread; any may ask Now.

#include <cstdint>
#include <functional>

#include "common/base/status.h"

namespace attune {

class CancelCheck {
 public:
  static constexpr uint32_t kStepsAnAsk = 1024;

  CancelCheck() = default;  // nobody goes
  // gone: may be null; called by any thread.
  explicit CancelCheck(std::function<bool()> gone) : gone_(std::move(gone)) {}

  // kCancelled once whoever waited has gone.
  Status Now() const;
  // The same before each short step of a long loop: asks before the first of kStepsAnAsk.
  Status Step() { return steps_++ % kStepsAnAsk == 0 ? Now() : Status(); }

 private:
  std::function<bool()> gone_;
  uint32_t steps_ = 0;
};

}  // namespace attune
