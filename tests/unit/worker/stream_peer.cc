#include "tests/unit/worker/stream_peer.h"

#include <thread>

namespace attune::testing {

bool AwaitTrue(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace attune::testing
