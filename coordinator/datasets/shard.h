#pragma once

// A shard as manifest.json has it.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace attune::datasets {

inline constexpr std::array<std::string_view, 3> kSplits = {"train", "validation", "unlabelled"};

// A shard is closed once it has so many.
inline constexpr uint64_t kShardBytes = 16 << 20;

struct Shard {
  std::string file;  // its name in the version's folder
  std::string split;
  uint64_t examples = 0;
  uint64_t bytes = 0;
  std::string sha256;
};

}  // namespace attune::datasets
