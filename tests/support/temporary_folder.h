#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune {

// An empty folder of a test's own, gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "attune-test-XXXXXX";
    ATTUNE_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

  // Each returns the file's path. Write replaces what is there.
  std::filesystem::path Write(const std::string& name, std::string_view content) const {
    return Put(name, content, std::ios::trunc);
  }
  std::filesystem::path Append(const std::string& name, std::string_view content) const {
    return Put(name, content, std::ios::app);
  }
  std::filesystem::path WriteScript(const std::string& name, const std::string& body) const {
    std::filesystem::path path = Write(name, "#!/bin/sh\n" + body);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

 private:
  std::filesystem::path Put(const std::string& name, std::string_view content,
                            std::ios::openmode mode) const {
    std::ofstream(path_ / name, std::ios::binary | std::ios::out | mode) << content;
    return path_ / name;
  }

  std::filesystem::path path_;
};

}  // namespace attune
