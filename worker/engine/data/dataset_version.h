#pragma once

// Reads a dataset version's folder (docs/design.md, "Storage"). Private to this folder.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/files.h"
#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

struct DatasetShard {
  std::filesystem::path file;
  std::string split;
  uint64_t examples = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits
};

struct DatasetVersionFiles {
  std::string checksum;
  std::vector<DatasetShard> shards;

  uint64_t Examples(std::string_view split) const;
};

// manifest.json, checked; kDataLoss when it is not the version that was asked for.
Result<DatasetVersionFiles> ReadManifest(const DatasetFiles& dataset);

// A shard's text, mapped.
class ShardText {
 public:
  static Result<ShardText> Open(const DatasetShard& shard);

  std::string_view bytes() const;
  // The text in parts of whole lines, each of about so many bytes.
  std::vector<std::string_view> Parts(size_t bytes) const;
  // kDataLoss when it is not what the manifest says. CheckContent reads all of it.
  Status CheckContent() const;
  Status CheckCount(uint64_t lines) const;

 private:
  ShardText(const DatasetShard& shard, std::shared_ptr<MappedFile> map)
      : shard_(&shard), map_(std::move(map)) {}
  const DatasetShard* shard_;
  std::shared_ptr<MappedFile> map_;
};

// Takes the next line that is not empty off the text; empty at its end.
std::string_view NextLine(std::string_view* text);

// Calls `batch` with up to `lines_max` lines at a time. kDataLoss when the file is not what the
// manifest says.
using LineBatch = std::function<Status(const std::vector<std::string_view>&)>;
Status ReadShardLines(const DatasetShard& shard, size_t lines_max, const LineBatch& batch);

}  // namespace attune::engine
