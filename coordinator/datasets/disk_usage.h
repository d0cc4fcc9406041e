#pragma once

// What versions take of the storage, of which they share much: by the links of their files.

#include <cstdint>
#include <vector>

#include "attune/v1/datasets.pb.h"

namespace attune::datasets {

struct DiskUsage {
  uint64_t own_bytes = 0;     // of files that no other version has: freed with it
  uint64_t shared_bytes = 0;  // of the others
};

// Of all files of its folder: shards, what lies beside them, and the manifest.
DiskUsage DiskUsageOf(const v1::DatasetVersion& version);

// What is freed when all of them go.
uint64_t BytesFreedWith(const std::vector<v1::DatasetVersion>& versions);

// Bytes of the shards that are the same files in both.
uint64_t BytesShared(const v1::DatasetVersion& one, const v1::DatasetVersion& other);

}  // namespace attune::datasets
