#pragma once

// Runs a function once per rank, each on its own thread, over one in-memory store.

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "worker/engine/engine.h"

namespace attune::engine::testing {

inline void RunRanks(int world_size,
                     const std::function<void(const Membership&, KeyValueStore*)>& body,
                     std::chrono::milliseconds timeout = std::chrono::seconds(30)) {
  std::unique_ptr<KeyValueStore> store = NewMemoryStore();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      body({.rank = rank, .world_size = world_size, .timeout = timeout}, store.get());
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace attune::engine::testing
