#pragma once

// Reads a dataset version's folder (docs/design.md, "Storage"). Private to this folder.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

struct DatasetShard {
  std::filesystem::path file;
  std::string split;
  uint64_t examples = 0;
  std::string sha256;
};

struct DatasetVersionFiles {
  std::string checksum;
  std::vector<DatasetShard> shards;

  uint64_t Examples(std::string_view split) const;
};

// manifest.json, checked; kDataLoss when it is not the version that was asked for.
Result<DatasetVersionFiles> ReadManifest(const DatasetFiles& dataset);

// Calls `batch` with up to `lines_max` lines at a time. kDataLoss when the file is not what the
// manifest says.
using LineBatch = std::function<Status(const std::vector<std::string_view>&)>;
Status ReadShardLines(const DatasetShard& shard, size_t lines_max, const LineBatch& batch);

}  // namespace attune::engine
