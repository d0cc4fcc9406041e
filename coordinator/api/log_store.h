#pragma once

// Trainers' logs: STORAGE/logs/JOB/gG-rR.log, appended by offset, so that bytes sent twice land
// once. Thread-safe.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"

namespace attune {

struct LogFile {
  uint32_t generation = 0;
  uint32_t rank = 0;
  std::filesystem::path path;
};

class LogStore {
 public:
  explicit LogStore(std::filesystem::path storage) : folder_(std::move(storage) / "logs") {}

  // Appends what the file does not have yet; returns how far it has the log now (an offset beyond
  // the end changes nothing: the sender goes back). What comes after kLogBytesMax counts as had,
  // and is dropped. Errors: kInvalidArgument for an id that is no trainer's; a disk that is full or
  // refuses, which the sender may try again.
  Result<uint64_t> Append(const std::string& trainer_id, uint64_t offset, std::string_view bytes)
      EXCLUDES(mutex_);
  // By generation and rank; empty when there is none.
  std::vector<LogFile> Files(const std::string& job_id) const;

  static constexpr uint64_t kLogBytesMax = 1ull << 30;  // of one trainer

 private:
  const std::filesystem::path folder_;
  Mutex mutex_;
};

// The offset where the last lines of a file start.
uint64_t TailOffset(const std::filesystem::path& path, uint32_t lines);
// At most limit bytes from offset; empty at the end or when it cannot be read.
std::string ReadFrom(const std::filesystem::path& path, uint64_t offset, size_t limit);

}  // namespace attune
