#pragma once

// A file without a name for what does not fit in memory: its space comes back with the object or
// the process, however it ends. Written once from front to back, then read. Not synced. Not
// thread-safe.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>

#include "common/base/status.h"

namespace attune {

class ScratchFile {
 public:
  // On the file system of the folder. kResourceExhausted, also below, when that is full.
  static Result<ScratchFile> Create(const std::filesystem::path& folder);
  ~ScratchFile();
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&&) = delete;

  Status Append(const void* data, size_t bytes);
  uint64_t size() const { return size_; }

  // All below are for what was appended; they end the appending.
  // Exactly so many bytes at an offset; kDataLoss when the file has not so many.
  Status Read(uint64_t offset, void* data, size_t bytes);
  // Valid while the object lives; pages are read as they are touched.
  Result<std::span<const std::byte>> Map();
  // The open file, in place of the object; whoever takes it closes it.
  Result<int> Release();

 private:
  ScratchFile(int fd, std::filesystem::path folder) : fd_(fd), folder_(std::move(folder)) {}
  Status Flush();

  int fd_;
  std::filesystem::path folder_;
  uint64_t size_ = 0;
  std::string buffer_;
  void* map_ = nullptr;
};

}  // namespace attune
