#pragma once

// What two models are held against each other on.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/engine.h"

namespace attune::engine {

struct Probe {
  std::vector<TokenizedExample> examples;  // none is empty
  int64_t tokens = 0;                      // of all
  std::string source;                      // "validation of docs@3", "built-in sentences"
};

inline constexpr int kProbeExamplesMax = 64;
inline constexpr int64_t kProbeTokensMax = 2048;

// options: of the model, with what it is made for. A data set that cannot be read is passed over
// with a warning; one with nothing that the model can read without.
Result<Probe> MakeProbe(const std::vector<DatasetFiles>& datasets, const TokenizeOptions& options,
                        Observer& observer);

}  // namespace attune::engine
