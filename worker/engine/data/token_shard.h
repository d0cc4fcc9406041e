#pragma once

// A tokenized split of a dataset version: memory-mapped, immutable, written once by Prepare. No
// torch here.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "common/base/status.h"

namespace attune::engine {

// Of a token: that it is what is to be learned (to be predicted from those before it, masked, a
// label), and that another of the example's texts begins with it.
inline constexpr uint8_t kTarget = 1, kTextBegins = 2;
inline bool IsTarget(uint8_t mark) {
  return (mark & kTarget) != 0;
}

struct TokenExample {
  std::span<const uint32_t> tokens;  // at most sequence_length
  std::span<const uint8_t> targets;  // kTarget, kTextBegins or neither; [0] is 0
  std::span<const uint8_t> id;       // 16 bytes: the example's id in the dataset
};

class TokenShard {
 public:
  // Checks header, sizes and bounds, so that no later call can read outside the file.
  static Result<std::shared_ptr<const TokenShard>> Open(const std::filesystem::path& file);
  virtual ~TokenShard() = default;

  virtual size_t size() const = 0;
  virtual TokenExample Example(size_t i) const = 0;
  virtual std::span<const uint32_t> lengths() const = 0;  // tokens of each example
  virtual std::span<const uint32_t> target_counts()
      const = 0;  // targets of each example, at least 1
  // Gives back the memory of mapped pages that were read; they are read again where they are
  // needed.
  virtual void Release() const {}
};

}  // namespace attune::engine
