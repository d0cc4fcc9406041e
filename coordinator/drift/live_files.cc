#include "coordinator/drift/live_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "common/log/log.h"

namespace attune::drift {
namespace fs = std::filesystem;

File::~File() {
  if (fd_ >= 0) close(fd_);
}

Result<size_t> ReadAt(int fd, char* out, size_t size, uint64_t offset, const fs::path& path) {
  for (;;) {
    ssize_t got = pread(fd, out, size, static_cast<off_t>(offset));
    if (got >= 0) return static_cast<size_t>(got);
    if (errno != EINTR) return ErrnoStatus(errno, "read " + path.string());
  }
}

std::string FileNameOf(uint64_t window) {
  std::string number = std::to_string(window);
  return std::string(8 - std::min<size_t>(number.size(), 8), '0') + number + ".jsonl";
}

std::optional<uint64_t> WindowOfFile(const fs::path& file) {
  std::string name = file.filename().string();
  uint64_t number = 0;
  auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || FileNameOf(number) != name) return std::nullopt;
  return number;
}

std::string MissingRows(const fs::path& path, uint64_t has, uint64_t committed) {
  return path.string() + " has " + std::to_string(has) + " of " + std::to_string(committed) +
         " bytes: rows of the window are lost";
}

Status FolderIsAway(const fs::path& folder) {
  return Unavailable(
      "there is no folder " + folder.string() +
      " though it holds rows: mount or restore what it is on, or make the folder to give "
      "them up");
}

std::vector<fs::path> EntriesOf(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    entries.push_back(it->path());
  }
  return entries;
}

void RemoveRowsAt(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) spdlog::warn("cannot remove {}: {}", path.string(), error.message());
}

}  // namespace attune::drift
