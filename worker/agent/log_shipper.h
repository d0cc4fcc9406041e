#pragma once

// Brings the trainers' logs to the coordinator: bytes from an offset, one chunk of a log under way
// at a time, the next when the coordinator says how far it has them. So what is lost with a stream
// is sent again, nothing twice, and memory stays at one chunk.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "common/base/mutex.h"
#include "common/base/status.h"

namespace attune::worker {

class LogShipper {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Options {
    size_t chunk_bytes = 256 << 10;
    std::chrono::milliseconds poll{300};      // how often a quiet log is looked at
    std::chrono::milliseconds resend{15000};  // a chunk without an answer
    int answers_missing_max = 20;             // then an ended log is given up
  };
  struct Chunk {
    std::string trainer_id;
    uint64_t offset = 0;
    std::string bytes;
  };

  explicit LogShipper(Options options) : options_(options) {}

  void Track(const std::string& trainer_id, const std::filesystem::path& path) EXCLUDES(mutex_);
  // The trainer writes no more: once all is acknowledged the file is removed.
  void MarkEnded(const std::string& trainer_id) EXCLUDES(mutex_);
  // Logs that an earlier life of this worker left in the folder: shipped as ended ones.
  void Adopt(const std::filesystem::path& folder) EXCLUDES(mutex_);

  // What to send now; or nothing, and then *wake_at lowered to when to ask again.
  std::optional<Chunk> Next(SteadyTime now, SteadyTime* wake_at) EXCLUDES(mutex_);
  // The coordinator has all bytes before offset. Lower than before: it lost some, they are sent
  // again.
  void Acknowledge(const std::string& trainer_id, uint64_t offset) EXCLUDES(mutex_);
  // A new stream: whatever was under way is sent again.
  void Rewind() EXCLUDES(mutex_);

  bool AllShipped() const EXCLUDES(mutex_);

 private:
  struct Log {
    std::filesystem::path path;
    uint64_t acknowledged = 0;
    bool ended = false;
    bool under_way = false;
    SteadyTime ask_at{};  // under way: when to send again; else when to look for more
    int answers_missing = 0;
  };
  void RemoveIfDone(const std::string& trainer_id) REQUIRES(mutex_);

  const Options options_;
  mutable Mutex mutex_;
  std::map<std::string, Log> logs_ GUARDED_BY(mutex_);
  std::string last_ GUARDED_BY(mutex_);  // whose turn it was: logs take turns
};

}  // namespace attune::worker
