#pragma once

// Single lines of shards.

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/shard.h"

namespace attune::datasets {

// numbers: from 0, ascending. Reads no further than the last; so the checksum is not checked.
// kDataLoss when the shard has too few lines; else the first error of take.
Status ReadShardLinesAt(const v1::DatasetVersion& version, const Shard& shard,
                        const std::vector<uint64_t>& numbers,
                        const std::function<Status(uint64_t number, std::string_view line)>& take);

// count different numbers below total (all when there are no more), each equally likely, ascending:
// Floyd's algorithm (Bentley and Floyd, "A sample of brilliance", CACM 30(9), 1987). The same for
// the same seed.
std::vector<uint64_t> DrawBelow(uint64_t total, uint64_t count, uint64_t seed);

}  // namespace attune::datasets
