#include "worker/agent/log_shipper.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <fstream>
#include <vector>

namespace attune::worker {
namespace {

namespace fs = std::filesystem;

std::string ReadFrom(const fs::path& path, uint64_t offset, size_t limit) {
  std::ifstream in(path, std::ios::binary);
  if (!in.seekg(static_cast<std::streamoff>(offset))) return "";
  std::string bytes(limit, '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(limit));
  bytes.resize(static_cast<size_t>(std::max<std::streamsize>(0, in.gcount())));
  return bytes;
}

uint64_t SizeOf(const fs::path& path) {
  std::error_code error;
  const uintmax_t size = fs::file_size(path, error);
  return error ? 0 : static_cast<uint64_t>(size);
}

}  // namespace

void LogShipper::Track(const std::string& trainer_id, const fs::path& path) {
  MutexLock lock(&mutex_);
  logs_[trainer_id] = Log{.path = path};
}

void LogShipper::MarkEnded(const std::string& trainer_id) {
  MutexLock lock(&mutex_);
  auto it = logs_.find(trainer_id);
  if (it == logs_.end()) return;
  it->second.ended = true;
  if (!it->second.under_way) it->second.ask_at = SteadyTime{};
  RemoveIfDone(trainer_id);
}

void LogShipper::Adopt(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".log") paths.push_back(it->path());
  }
  for (const fs::path& path : paths) {
    Track(path.stem().string(), path);
    MarkEnded(path.stem().string());
  }
}

std::optional<LogShipper::Chunk> LogShipper::Next(SteadyTime now, SteadyTime* wake_at) {
  MutexLock lock(&mutex_);
  std::vector<std::string> given_up;
  std::optional<Chunk> chunk;
  auto visit = [&](const std::string& id, Log& log) {
    if (log.ask_at > now) {
      *wake_at = std::min(*wake_at, log.ask_at);
      return false;
    }
    if (log.under_way && ++log.answers_missing > options_.answers_missing_max && log.ended) {
      given_up.push_back(id);
      return false;
    }
    std::string bytes = ReadFrom(log.path, log.acknowledged, options_.chunk_bytes);
    log.under_way = !bytes.empty();
    log.ask_at = now + (log.under_way ? options_.resend : options_.poll);
    if (!log.under_way) {
      *wake_at = std::min(*wake_at, log.ask_at);
      return false;
    }
    chunk = Chunk{id, log.acknowledged, std::move(bytes)};
    return true;
  };
  auto start = logs_.upper_bound(last_);
  bool found = false;
  for (auto it = start; !found && it != logs_.end(); ++it) found = visit(it->first, it->second);
  for (auto it = logs_.begin(); !found && it != start; ++it) found = visit(it->first, it->second);
  for (const std::string& id : given_up) {
    spdlog::warn("log of {} given up: the coordinator does not take it", id);
    std::error_code ignored;
    fs::remove(logs_[id].path, ignored);
    logs_.erase(id);
  }
  if (chunk) last_ = chunk->trainer_id;
  return chunk;
}

void LogShipper::Acknowledge(const std::string& trainer_id, uint64_t offset) {
  MutexLock lock(&mutex_);
  auto it = logs_.find(trainer_id);
  if (it == logs_.end()) return;
  // No progress (the coordinator cannot keep them now): not at once again.
  const bool progress = offset != it->second.acknowledged;
  it->second.ask_at = progress ? SteadyTime{} : std::chrono::steady_clock::now() + options_.resend;
  it->second.acknowledged = offset;
  it->second.under_way = false;
  it->second.answers_missing = 0;
  RemoveIfDone(trainer_id);
}

void LogShipper::Rewind() {
  MutexLock lock(&mutex_);
  for (auto& [id, log] : logs_) {
    log.under_way = false;
    log.ask_at = SteadyTime{};
  }
}

bool LogShipper::AllShipped() const {
  MutexLock lock(&mutex_);
  return std::all_of(logs_.begin(), logs_.end(), [](const auto& entry) {
    return entry.second.acknowledged >= SizeOf(entry.second.path);
  });
}

void LogShipper::RemoveIfDone(const std::string& trainer_id) {
  auto it = logs_.find(trainer_id);
  if (!it->second.ended || it->second.acknowledged < SizeOf(it->second.path)) return;
  std::error_code ignored;
  fs::remove(it->second.path, ignored);
  logs_.erase(it);
}

}  // namespace attune::worker
