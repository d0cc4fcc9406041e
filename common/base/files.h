#pragma once

// Files, the safe way: written to a temporary name, synced, renamed; read whole with a limit or
// mapped.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune {

// Whole content; kInvalidArgument when the file is larger than limit.
Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t limit = 64 << 20);

// Replaces path in one step: after a crash it holds the old or the new content. Syncs file and
// folder.
Status WriteFileAtomically(const std::filesystem::path& path, std::string_view content);

// Makes the folder and those above it that are missing; they survive a crash.
Status CreateFolders(const std::filesystem::path& folder);

// fsync of a folder, so that names created or renamed in it survive a crash.
Status SyncFolder(const std::filesystem::path& folder);

// A read-only map of a whole file; valid while the object lives. An empty file maps to an empty
// span.
class MappedFile {
 public:
  static Result<std::shared_ptr<MappedFile>> Open(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, size_t size) : data_(data), size_(size) {}
  const std::byte* data_;
  size_t size_;
};

// Appends to a temporary file beside path and gives it its name in the end. Without that the
// temporary file is removed. Not thread-safe.
class AtomicFileWriter {
 public:
  static Result<AtomicFileWriter> Create(const std::filesystem::path& path);
  ~AtomicFileWriter();
  AtomicFileWriter(AtomicFileWriter&& other) noexcept;
  AtomicFileWriter& operator=(AtomicFileWriter&&) = delete;

  Status Append(std::string_view bytes);
  Status Append(const void* data, size_t size) {
    return Append(std::string_view(static_cast<const char*>(data), size));
  }
  uint64_t size() const { return size_; }
  // Replaces what has the name.
  Status Commit();
  // Leaves what has the name already, for other hosts that have it open, and drops what was
  // written. Where the file system has no hard links it is replaced.
  Status CommitUnlessThere();

 private:
  AtomicFileWriter(int fd, std::filesystem::path path, std::filesystem::path temporary)
      : fd_(fd), path_(std::move(path)), temporary_(std::move(temporary)) {}
  Status Flush();
  Status Sync();
  Status Close();
  int fd_;
  std::filesystem::path path_, temporary_;
  std::string buffer_;
  uint64_t size_ = 0;
};

// True for a name that may become a folder: 1 to 63 of [a-z0-9._-], starting with a letter or
// digit. Names of datasets, models and jobs must pass, so that no name escapes the storage folder.
bool IsValidName(std::string_view name);

}  // namespace attune
