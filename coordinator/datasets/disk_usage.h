#pragma once

// What versions take of the storage, of which they share much: by the links of their shards.

#include <cstdint>
#include <vector>

#include "attune/v1/datasets.pb.h"

namespace attune::datasets {

struct DiskUsage {
  uint64_t own_bytes = 0;     // of shards that no other version has: freed with it
  uint64_t shared_bytes = 0;  // of the others
};

// Shards that are missing count for nothing, as does a version whose manifest is damaged.
DiskUsage DiskUsageOf(const v1::DatasetVersion& version);

// What is freed when all of them go.
uint64_t BytesFreedWith(const std::vector<v1::DatasetVersion>& versions);

// Bytes of the first version's shards that are the same files as shards of the second.
uint64_t BytesShared(const v1::DatasetVersion& one, const v1::DatasetVersion& other);

}  // namespace attune::datasets
