#include "coordinator/datasets/unnamed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/hash.h"
#include "common/base/write_all.h"

namespace attune::datasets {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

}  // namespace

Result<UnnamedFile> UnnamedFile::Create(const std::filesystem::path& folder) {
  std::filesystem::path temporary = folder / NewId(".unnamed");
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "create " + temporary.string());
  return UnnamedFile(fd, std::move(temporary));
}

UnnamedFile::UnnamedFile(UnnamedFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      temporary_(std::move(other.temporary_)),
      buffer_(std::move(other.buffer_)),
      size_(other.size_) {}

UnnamedFile::~UnnamedFile() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

Status UnnamedFile::Append(std::string_view bytes) {
  size_ += bytes.size();
  buffer_.append(bytes);
  return buffer_.size() < kBufferBytes ? Status() : Flush();
}

Status UnnamedFile::Flush() {
  ATTUNE_RETURN_IF_ERROR(WriteAll(fd_, buffer_, "write " + temporary_.string()));
  buffer_.clear();
  return Status();
}

Status UnnamedFile::Place(const std::string& name, Sync sync) {
  ATTUNE_RETURN_IF_ERROR(Flush());
  if (sync == Sync::kFile && fsync(fd_) != 0) {
    return ErrnoStatus(errno, "sync " + temporary_.string());
  }
  const std::filesystem::path path = temporary_.parent_path() / name;
  if (rename(temporary_.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, "rename to " + path.string());
  }
  close(std::exchange(fd_, -1));
  return Status();
}

Status WriteNamed(const std::filesystem::path& path, std::string_view content,
                  UnnamedFile::Sync sync) {
  ATTUNE_ASSIGN_OR_RETURN(UnnamedFile file, UnnamedFile::Create(path.parent_path()));
  ATTUNE_RETURN_IF_ERROR(file.Append(content));
  return file.Place(path.filename().string(), sync);
}

}  // namespace attune::datasets
