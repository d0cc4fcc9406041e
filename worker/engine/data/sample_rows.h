#pragma once

// Rows of a dataset version, to be measured.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

struct SampledRow {
  std::string id;    // 32 hexadecimal digits
  std::string line;  // a JSON object, as it stands in the shard
};

// Of these splits (none named: of all), in order of id: all of them, or the max_examples (0: all)
// with the lowest ids, which is a fixed random sample since ids are hashes. kDataLoss when the
// version is not what its manifest says.
Result<std::vector<SampledRow>> SampleRows(const DatasetFiles& dataset,
                                           const std::vector<std::string>& splits,
                                           int max_examples);

}  // namespace attune::engine
