#pragma once

// Only the newest attempt of a run may change its folder. One that was given up may live on behind
// a broken network, for as long as its trainers keep working without the coordinator; it and its
// successor see the same storage, so the storage says which of them it belongs to.
//
// An attempt that finds itself behind between Check and the rename that follows does no harm by it:
// step N is the same whoever computed it. What must not happen late is to remove.

#include <cstdint>
#include <filesystem>

#include "common/base/status.h"

namespace attune::engine {

class Fence {
 public:
  // None: everything is allowed.
  Fence() = default;
  // Writes folder/generation. kCancelled when a later generation has the folder. 0: no fence.
  static Result<Fence> Take(const std::filesystem::path& folder, uint32_t generation);

  // kCancelled when a later generation has taken the folder since. Takes it back from an earlier
  // one.
  Status Check() const;
  uint32_t generation() const { return generation_; }

 private:
  Fence(std::filesystem::path file, uint32_t generation)
      : file_(std::move(file)), generation_(generation) {}
  std::filesystem::path file_;
  uint32_t generation_ = 0;
};

}  // namespace attune::engine
