#include "coordinator/datasets/disk_usage.h"

#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using File = std::pair<dev_t, ino_t>;

struct Links {
  uint64_t bytes = 0;
  uint64_t all = 0;   // names of the file, wherever
  uint64_t here = 0;  // in the versions that were looked at
  bool is_shard = false;
};

std::map<File, Links> FilesOf(const std::vector<v1::DatasetVersion>& versions) {
  std::map<File, Links> files;
  for (const v1::DatasetVersion& version : versions) {
    std::error_code error;
    for (fs::directory_iterator it(version.path(), error), end; !error && it != end;
         it.increment(error)) {
      struct stat info {};
      if (lstat(it->path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      Links& links = files[{info.st_dev, info.st_ino}];
      links.bytes = static_cast<uint64_t>(info.st_size);
      links.all = info.st_nlink;
      links.is_shard = it->path().extension() == ".jsonl";
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
    if (links.is_shard && others.contains(file)) bytes += links.bytes;
  }
  return bytes;
}

}  // namespace attune::datasets
