#include "coordinator/api/log_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <optional>
#include <regex>

#include "common/base/files.h"

namespace attune {
namespace {

struct TrainerName {
  std::string job_id;
  std::string file;  // "g1-r0.log"
};

std::optional<TrainerName> ParseTrainerId(const std::string& id) {
  static const std::regex kPattern("(job-[0-9a-z]{1,40})-(g[0-9]{1,9}-r[0-9]{1,9})");
  std::smatch match;
  if (id.size() > 100 || !std::regex_match(id, match, kPattern)) return std::nullopt;
  return TrainerName{match[1], match[2].str() + ".log"};
}

}  // namespace

Result<uint64_t> LogStore::Append(const std::string& trainer_id, uint64_t offset,
                                  std::string_view bytes) {
  auto name = ParseTrainerId(trainer_id);
  if (!name) return InvalidArgument("'" + trainer_id + "' is not the id of a trainer");
  MutexLock lock(&mutex_);
  std::error_code error;
  std::filesystem::create_directories(folder_ / name->job_id, error);
  const std::filesystem::path path = folder_ / name->job_id / name->file;
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return ErrnoStatus(errno, path.string());
  struct stat info {};
  fstat(fd, &info);
  uint64_t size = static_cast<uint64_t>(info.st_size);
  Status status;
  const uint64_t end = offset + bytes.size();
  if (offset <= size && end > size) {
    bytes.remove_prefix(size - offset);
    bytes = bytes.substr(0, kLogBytesMax - std::min(size, kLogBytesMax));
    while (!bytes.empty()) {
      ssize_t count = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(size));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) {
        status = ErrnoStatus(errno, path.string());
        break;
      }
      size += static_cast<uint64_t>(count);
      bytes.remove_prefix(static_cast<size_t>(count));
    }
  }
  close(fd);
  if (!status.ok()) return status;
  return size >= kLogBytesMax ? std::max(size, end) : size;
}

std::vector<LogFile> LogStore::Files(const std::string& job_id) const {
  std::vector<LogFile> files;
  if (!IsValidName(job_id)) return files;
  std::error_code error;
  static const std::regex kPattern("g([0-9]{1,9})-r([0-9]{1,9})\\.log");
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / job_id, error)) {
    std::string name = entry.path().filename().string();
    std::smatch match;
    if (!std::regex_match(name, match, kPattern)) continue;
    files.push_back({static_cast<uint32_t>(std::stoul(match[1])),
                     static_cast<uint32_t>(std::stoul(match[2])), entry.path()});
  }
  std::sort(files.begin(), files.end(), [](const LogFile& a, const LogFile& b) {
    return std::pair(a.generation, a.rank) < std::pair(b.generation, b.rank);
  });
  return files;
}

std::string ReadFrom(const std::filesystem::path& path, uint64_t offset, size_t limit) {
  std::ifstream file(path, std::ios::binary);
  if (!file.seekg(static_cast<std::streamoff>(offset))) return "";
  std::string bytes(limit, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(limit));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

uint64_t TailOffset(const std::filesystem::path& path, uint32_t lines) {
  constexpr uint64_t kWindow = 1 << 20;
  std::error_code error;
  uint64_t size = std::filesystem::file_size(path, error);
  if (error) return 0;
  uint64_t start = size > kWindow ? size - kWindow : 0;
  std::string bytes = ReadFrom(path, start, static_cast<size_t>(size - start));
  size_t end = bytes.size();
  if (end > 0 && bytes[end - 1] == '\n') --end;
  for (; lines > 0; --lines) {
    size_t newline = end == 0 ? std::string::npos : bytes.rfind('\n', end - 1);
    if (newline == std::string::npos) return start;
    end = newline;
    if (lines == 1) return start + newline + 1;
  }
  return size;
}

}  // namespace attune
