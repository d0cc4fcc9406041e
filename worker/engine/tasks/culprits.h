#pragma once

// Which examples make a step's loss or gradients no finite numbers.

#include <functional>
#include <span>
#include <string>

#include "common/base/status.h"
#include "worker/engine/data/plan.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

struct CulpritSearch {
  const TokenShard& shard;
  // Whether an example alone makes finite numbers.
  std::function<Result<bool>(uint32_t example)> is_finite;
  // The example's tokens as a text; empty where there is none to be had.
  std::function<std::string(std::span<const uint32_t> tokens)> words;
};

// Tries this rank's sequences example by example, for a bounded time, and says for all ranks what
// was found, as the end of a sentence: ": of its examples ID ("first words") does so alone".
// Collective.
Result<std::string> FindCulprits(const CulpritSearch& search, std::span<const Sequence> sequences,
                                 Group& group);

}  // namespace attune::engine
