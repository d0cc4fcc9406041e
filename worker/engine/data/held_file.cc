#include "worker/engine/data/held_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace attune::engine {

Result<HeldFile> HeldFile::Open(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open " + path.string());
  struct stat info {};
  if (fstat(fd, &info) != 0) {
    const int error = errno;
    close(fd);
    return ErrnoStatus(error, "look at " + path.string());
  }
  return HeldFile(fd, path, info.st_dev, info.st_ino);
}

HeldFile::HeldFile(HeldFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(other.path_),
      device_(other.device_),
      inode_(other.inode_) {}

HeldFile::~HeldFile() {
  if (fd_ >= 0) close(fd_);
}

bool HeldFile::IsNamed() const {
  struct stat info {};
  return stat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_;
}

}  // namespace attune::engine
