#include "coordinator/models/copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "common/base/write_all.h"

namespace attune::models {
namespace {

constexpr size_t kPieceBytes = 1 << 20;
constexpr size_t kRangeBytes = 64 << 20;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

Status Tell(const OnBytes& on_bytes, uint64_t bytes) {
  return on_bytes ? on_bytes(bytes) : Status();
}

Status CopyByReading(int from, int to, const OnBytes& on_bytes) {
  std::string piece(kPieceBytes, '\0');
  for (;;) {
    ssize_t n = read(from, piece.data(), piece.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, "read");
    if (n == 0) return Status();
    ATTUNE_RETURN_IF_ERROR(
        WriteAll(to, std::string_view(piece).substr(0, static_cast<size_t>(n)), "write"));
    ATTUNE_RETURN_IF_ERROR(Tell(on_bytes, static_cast<uint64_t>(n)));
  }
}

// Goes on from the files' positions, so that it may follow a copy_file_range that gave up.
Status CopyContent(int from, int to, uint64_t size, const OnBytes& on_bytes) {
  if (ioctl(to, FICLONE, from) == 0) return Tell(on_bytes, size);
  for (;;) {
    ssize_t n = copy_file_range(from, nullptr, to, nullptr, kRangeBytes, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n > 0) {
      ATTUNE_RETURN_IF_ERROR(Tell(on_bytes, static_cast<uint64_t>(n)));
      continue;
    }
    if (n < 0 && (errno == ENOSPC || errno == EDQUOT)) return ErrnoStatus(errno, "write");
    break;  // at the end, or not possible between these two: reading finds out which
  }
  return CopyByReading(from, to, on_bytes);
}

}  // namespace

Result<uint64_t> CopyFile(const std::filesystem::path& from, const std::filesystem::path& to,
                          const OnBytes& on_bytes) {
  // Not blocking: a pipe in the place of a file must not hold the daemon.
  Descriptor source(open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (source.get() < 0) {
    return InvalidArgument("the coordinator cannot read " + from.string() + ": " + strerror(errno));
  }
  struct stat info;
  if (fstat(source.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return InvalidArgument(from.string() + " is not a regular file");
  }
  Descriptor target(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (target.get() < 0) return ErrnoStatus(errno, "create " + to.string());
  Status copied =
      CopyContent(source.get(), target.get(), static_cast<uint64_t>(info.st_size), on_bytes);
  if (!copied.ok()) return copied.WithContext("copy " + from.string());
  if (fsync(target.get()) != 0) return ErrnoStatus(errno, "sync " + to.string());
  if (fstat(target.get(), &info) != 0) return ErrnoStatus(errno, "stat " + to.string());
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace attune::models
