#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "worker/engine/model/language_model.h"

namespace attune::engine {

struct MarkedTokens {
  std::vector<int64_t> tokens;
  std::vector<int> targets;  // not 0: the token is to be predicted from those before it; never [0]
};

// Examples end to end.
inline PackedBatch PackExamples(const std::vector<MarkedTokens>& examples) {
  PackedBatch batch;
  std::vector<int64_t> tokens, positions, rows, targets;
  batch.offsets = {0};
  for (const MarkedTokens& example : examples) {
    for (size_t i = 0; i < example.tokens.size(); ++i) {
      tokens.push_back(example.tokens[i]);
      positions.push_back(static_cast<int64_t>(i));
      if (example.targets[i] == 0) continue;
      rows.push_back(static_cast<int64_t>(tokens.size()) - 2);
      targets.push_back(example.tokens[i]);
    }
    const auto first =
        std::ranges::find_if(example.targets, [](int target) { return target != 0; });
    batch.sources.push_back(first - example.targets.begin());
    batch.examples.push_back(static_cast<uint32_t>(batch.examples.size()));
    batch.offsets.push_back(static_cast<int64_t>(tokens.size()));
  }
  batch.tokens = at::tensor(tokens, at::kLong);
  batch.positions = at::tensor(positions, at::kLong);
  batch.target_rows = at::tensor(rows, at::kLong);
  batch.targets = at::tensor(targets, at::kLong);
  return batch;
}

}  // namespace attune::engine
