#include "common/base/scratch_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/write_all.h"

namespace attune {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

}  // namespace

Result<ScratchFile> ScratchFile::Create(const std::filesystem::path& folder) {
  std::string name = (folder / ".scratch-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "make a scratch file in " + folder.string());
  ::unlink(name.c_str());
  return ScratchFile(fd, folder);
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      folder_(std::move(other.folder_)),
      size_(other.size_),
      buffer_(std::move(other.buffer_)),
      map_(std::exchange(other.map_, nullptr)) {}

ScratchFile::~ScratchFile() {
  if (map_ != nullptr) ::munmap(map_, size_);
  if (fd_ >= 0) ::close(fd_);
}

Status ScratchFile::Append(const void* data, size_t bytes) {
  buffer_.append(static_cast<const char*>(data), bytes);
  size_ += bytes;
  return buffer_.size() >= kBufferBytes ? Flush() : Status();
}

Status ScratchFile::Flush() {
  Status written = WriteAll(fd_, buffer_, "write a scratch file in " + folder_.string());
  buffer_.clear();
  return written;
}

Status ScratchFile::Read(uint64_t offset, void* data, size_t bytes) {
  ATTUNE_RETURN_IF_ERROR(Flush());
  char* to = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t read = ::pread(fd_, to, bytes, static_cast<off_t>(offset));
    if (read < 0 && errno == EINTR) continue;
    if (read < 0) return ErrnoStatus(errno, "read a scratch file");
    if (read == 0) return DataLoss("a scratch file ends before what was written to it");
    to += read;
    offset += static_cast<uint64_t>(read);
    bytes -= static_cast<size_t>(read);
  }
  return Status();
}

Result<int> ScratchFile::Release() {
  ATTUNE_RETURN_IF_ERROR(Flush());
  return std::exchange(fd_, -1);
}

Result<std::span<const std::byte>> ScratchFile::Map() {
  ATTUNE_RETURN_IF_ERROR(Flush());
  if (size_ == 0) return std::span<const std::byte>();
  if (map_ == nullptr) {
    void* map = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
    if (map == MAP_FAILED) return ErrnoStatus(errno, "map a scratch file");
    map_ = map;
  }
  return std::span(static_cast<const std::byte*>(map_), size_);
}

}  // namespace attune
