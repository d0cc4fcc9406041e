#include "common/base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace attune {
namespace {

bool MeansNoLocks(int error) {
  return error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP || error == EINVAL;
}

// False when the holder removed the file between our open and our lock: the lock of that file is
// worth nothing, as the next one opens another.
bool IsStillThere(int fd, const std::filesystem::path& file) {
  struct stat ours {
  }, there{};
  return fstat(fd, &ours) == 0 && stat(file.c_str(), &there) == 0 && ours.st_dev == there.st_dev &&
         ours.st_ino == there.st_ino;
}

}  // namespace

Result<FileLock> FileLock::Try(const std::filesystem::path& file) {
  for (;;) {
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return ErrnoStatus(errno, "create " + file.string());
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
      if (IsStillThere(fd, file)) return FileLock(fd, file);
      close(fd);
      continue;
    }
    const int error = errno;
    close(fd);
    if (error == EWOULDBLOCK) return AlreadyExists("another process holds " + file.string());
    if (error == EINTR) continue;
    if (MeansNoLocks(error)) {
      unlink(file.c_str());
      return FailedPrecondition("the file system of " + file.string() + " has no locks");
    }
    return ErrnoStatus(error, "lock " + file.string());
  }
}

FileLock::FileLock(FileLock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), file_(std::move(other.file_)) {}

FileLock::~FileLock() {
  if (fd_ < 0) return;
  unlink(file_.c_str());
  close(fd_);
}

void FileLock::Touch() const {
  (void)futimens(fd_, nullptr);
}

}  // namespace attune
