#pragma once

// A file that gets its name when all of it is there, as shards do, whose names follow from their
// content. Until then it has a temporary one. Not thread-safe.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::datasets {

class UnnamedFile {
 public:
  static Result<UnnamedFile> Create(const std::filesystem::path& folder);
  ~UnnamedFile();  // removes what has no name
  UnnamedFile(UnnamedFile&& other) noexcept;
  UnnamedFile& operator=(UnnamedFile&&) = delete;

  Status Append(std::string_view bytes);
  uint64_t size() const { return size_; }

  enum class Sync {
    kFile,  // its bytes survive a crash; its name does when the folder is synced, too
    kNone,  // after a crash it may be there in part: for what can be told by a checksum of its own
  };
  // name: in the folder that it was created in. No Append after it.
  Status Place(const std::string& name, Sync sync);

 private:
  UnnamedFile(int fd, std::filesystem::path temporary)
      : fd_(fd), temporary_(std::move(temporary)) {}
  Status Flush();

  int fd_;
  std::filesystem::path temporary_;
  std::string buffer_;
  uint64_t size_ = 0;
};

// All of a file at once.
Status WriteNamed(const std::filesystem::path& path, std::string_view content,
                  UnnamedFile::Sync sync);

}  // namespace attune::datasets
