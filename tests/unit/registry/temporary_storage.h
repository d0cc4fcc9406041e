#pragma once

// A storage folder with a database, removed afterwards.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/table.h"

namespace attune {

class TemporaryStorage {
 public:
  TemporaryStorage() : path_(std::filesystem::temp_directory_path() / NewId("attune-registry")) {
    std::filesystem::create_directories(path_);
    Reopen();
  }
  ~TemporaryStorage() {
    database_.reset();
    std::filesystem::remove_all(path_);
  }

  // As a restart of the coordinator.
  void Reopen() {
    database_.reset();
    Result<std::unique_ptr<Database>> database =
        Database::Open(path_ / "attune.db", versions::Migrations(), SystemClock());
    ATTUNE_CHECK(database.ok());
    database_ = *std::move(database);
  }

  const std::filesystem::path& path() const { return path_; }
  Database* database() { return database_.get(); }

  std::filesystem::path Write(const std::string& file, std::string_view content) {
    std::filesystem::create_directories((path_ / file).parent_path());
    std::ofstream(path_ / file, std::ios::binary) << content;
    return path_ / file;
  }

  // Every file and folder below sub, as paths relative to it.
  std::set<std::string> Tree(const std::string& sub) const {
    std::set<std::string> names;
    if (!std::filesystem::exists(path_ / sub)) return names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(path_ / sub)) {
      names.insert(std::filesystem::relative(entry.path(), path_ / sub).string());
    }
    return names;
  }

 private:
  const std::filesystem::path path_;
  std::unique_ptr<Database> database_;
};

}  // namespace attune
