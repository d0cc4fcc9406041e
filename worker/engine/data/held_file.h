#pragma once

// A file that is told apart from whatever gets its name later. Private to this folder.

#include <sys/types.h>

#include <filesystem>

#include "common/base/status.h"

namespace attune::engine {

// Open as long as the object lives, so that no other file gets its number.
class HeldFile {
 public:
  // kNotFound when there is none.
  static Result<HeldFile> Open(const std::filesystem::path& path);
  HeldFile(HeldFile&& other) noexcept;
  HeldFile& operator=(HeldFile&&) = delete;
  ~HeldFile();

  // Whether it still has its name.
  bool IsNamed() const;

 private:
  HeldFile(int fd, std::filesystem::path path, dev_t device, ino_t inode)
      : fd_(fd), path_(std::move(path)), device_(device), inode_(inode) {}

  int fd_;
  const std::filesystem::path path_;
  const dev_t device_;
  const ino_t inode_;
};

}  // namespace attune::engine
