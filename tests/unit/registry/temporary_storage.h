#pragma once

// A storage folder with a database, removed afterwards.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/table.h"
#include "tests/support/temporary_folder.h"

namespace attune {

class TemporaryStorage {
 public:
  // more: the tables that a test needs besides those of versions.
  explicit TemporaryStorage(const std::vector<Migration>& more = {})
      : migrations_(versions::Migrations()) {
    migrations_.insert(migrations_.end(), more.begin(), more.end());
    Reopen();
  }

  // As a restart of the coordinator.
  void Reopen() {
    database_.reset();
    Result<std::unique_ptr<Database>> database =
        Database::Open(path() / "attune.db", migrations_, SystemClock());
    ATTUNE_CHECK(database.ok());
    database_ = *std::move(database);
  }

  const std::filesystem::path& path() const { return folder_.path(); }
  Database* database() { return database_.get(); }

  std::filesystem::path Write(const std::string& file, std::string_view content) {
    std::filesystem::create_directories((path() / file).parent_path());
    std::ofstream(path() / file, std::ios::binary) << content;
    return path() / file;
  }

  // Every file and folder below sub, as paths relative to it.
  std::set<std::string> Tree(const std::string& sub) const {
    std::set<std::string> names;
    if (!std::filesystem::exists(path() / sub)) return names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / sub)) {
      names.insert(std::filesystem::relative(entry.path(), path() / sub).string());
    }
    return names;
  }

  // Of the regular files below sub, each once whatever its names.
  uint64_t Bytes(const std::string& sub) const {
    std::map<ino_t, uint64_t> sizes;
    if (!std::filesystem::exists(path() / sub)) return 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path() / sub)) {
      struct stat info {};
      if (lstat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
      sizes[info.st_ino] = static_cast<uint64_t>(info.st_size);
    }
    uint64_t bytes = 0;
    for (const auto& [inode, size] : sizes) bytes += size;
    return bytes;
  }

 private:
  const TemporaryFolder folder_;
  std::vector<Migration> migrations_;
  std::unique_ptr<Database> database_;
};

}  // namespace attune
