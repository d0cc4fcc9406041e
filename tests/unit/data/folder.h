#pragma once

#include <filesystem>

#include "common/base/hash.h"

namespace attune::engine {

// A folder of this test's own, gone with the object.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / NewId("attune-data-test")) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace attune::engine
