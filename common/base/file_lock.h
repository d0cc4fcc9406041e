#pragma once

// A lock between processes that the death of its holder frees: flock on a file of its own, which is
// there while the lock is held.

#include <filesystem>

#include "common/base/status.h"

namespace attune {

class FileLock {
 public:
  // Does not wait. kAlreadyExists when another holds the lock; kFailedPrecondition when the file
  // system has no locks (an NFS without its lock service, a Lustre mounted without flock).
  static Result<FileLock> Try(const std::filesystem::path& file);
  // Removes the file, then frees the lock.
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;

  // A sign of life: the file's time of last write becomes now.
  void Touch() const;

 private:
  FileLock(int fd, std::filesystem::path file) : fd_(fd), file_(std::move(file)) {}
  int fd_;
  std::filesystem::path file_;
};

}  // namespace attune
