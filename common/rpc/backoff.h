#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/base/hash.h"

namespace attune::rpc {

// How long to wait before the next try: doubles from initial to max, each wait drawn from the upper
// half, so that many clients of a server that came back do not arrive together.
class Backoff {
 public:
  Backoff(std::chrono::milliseconds initial, std::chrono::milliseconds max, uint64_t seed)
      : initial_(initial), max_(max), random_(seed), next_(initial) {}

  std::chrono::milliseconds Next() {
    const int64_t full = std::max<int64_t>(2, next_.count());
    next_ = std::min(max_, next_ * 2);
    return std::chrono::milliseconds(full / 2 + static_cast<int64_t>(random_.Below(full / 2 + 1)));
  }
  void Reset() { next_ = initial_; }

 private:
  const std::chrono::milliseconds initial_, max_;
  Random random_;
  std::chrono::milliseconds next_;
};

}  // namespace attune::rpc
