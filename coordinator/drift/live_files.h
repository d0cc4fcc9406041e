#pragma once

// The files of rows below STORAGE/live/STREAM/INCARNATION: one for each window.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace attune::drift {

inline constexpr size_t kRowsBuffer = 1 << 20;

// Closes its descriptor.
class File {
 public:
  File() = default;
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~File();
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

// Up to size bytes at offset; fewer at the end of the file.
Result<size_t> ReadAt(int fd, char* out, size_t size, uint64_t offset,
                      const std::filesystem::path& path);

// "00000007.jsonl".
std::string FileNameOf(uint64_t window);
std::optional<uint64_t> WindowOfFile(const std::filesystem::path& file);

// What is said of a file that has less than was committed.
std::string MissingRows(const std::filesystem::path& path, uint64_t has, uint64_t committed);
// The whole folder is away, as when a disk is not mounted: what it held may come back.
Status FolderIsAway(const std::filesystem::path& folder);

// Of a folder; none when it cannot be read.
std::vector<std::filesystem::path> EntriesOf(const std::filesystem::path& folder);
// A failure is logged.
void RemoveRowsAt(const std::filesystem::path& path);

}  // namespace attune::drift
