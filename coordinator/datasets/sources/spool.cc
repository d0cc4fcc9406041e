#include "coordinator/datasets/sources/spool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

namespace attune::datasets {

Spool::~Spool() {
  if (fd_ >= 0) close(fd_);
}

Status Spool::Open(const std::filesystem::path& folder) {
  folder_ = folder;
  std::string path = (folder / ".spool-XXXXXX").string();
  fd_ = mkostemp(path.data(), O_CLOEXEC);
  if (fd_ < 0) return ErrnoStatus(errno, "make a file in " + folder.string());
  if (unlink(path.c_str()) != 0) return ErrnoStatus(errno, "remove " + path);
  return Status();
}

Status Spool::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = write(fd_, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return ErrnoStatus(errno, "write to a file in " + folder_.string());
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return Status();
}

int Spool::Release() {
  return std::exchange(fd_, -1);
}

}  // namespace attune::datasets
