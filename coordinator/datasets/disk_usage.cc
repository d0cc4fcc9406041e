#include "coordinator/datasets/disk_usage.h"

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <utility>

#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {
namespace {

using File = std::pair<dev_t, ino_t>;

struct Links {
  uint64_t bytes = 0;
  uint64_t all = 0;   // names of the file, wherever
  uint64_t here = 0;  // in the versions that were looked at
};

std::map<File, Links> FilesOf(const std::vector<v1::DatasetVersion>& versions) {
  std::map<File, Links> files;
  for (const v1::DatasetVersion& version : versions) {
    const std::filesystem::path folder(version.path());
    const Result<std::vector<Shard>> shards = ReadShardList(folder / "manifest.json");
    if (!shards.ok()) continue;
    for (const Shard& shard : *shards) {
      struct stat info {};
      if (stat((folder / shard.file).c_str(), &info) != 0) continue;
      Links& links = files[{info.st_dev, info.st_ino}];
      links.bytes = static_cast<uint64_t>(info.st_size);
      links.all = info.st_nlink;
      ++links.here;
    }
  }
  return files;
}

}  // namespace

DiskUsage DiskUsageOf(const v1::DatasetVersion& version) {
  DiskUsage usage;
  for (const auto& [file, links] : FilesOf({version})) {
    (links.all <= links.here ? usage.own_bytes : usage.shared_bytes) += links.bytes;
  }
  return usage;
}

uint64_t BytesFreedWith(const std::vector<v1::DatasetVersion>& versions) {
  uint64_t bytes = 0;
  for (const auto& [file, links] : FilesOf(versions)) {
    if (links.all <= links.here) bytes += links.bytes;
  }
  return bytes;
}

uint64_t BytesShared(const v1::DatasetVersion& one, const v1::DatasetVersion& other) {
  const std::map<File, Links> others = FilesOf({other});
  uint64_t bytes = 0;
  for (const auto& [file, links] : FilesOf({one})) {
    if (others.contains(file)) bytes += links.bytes;
  }
  return bytes;
}

}  // namespace attune::datasets
