#include "common/base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/hash.h"
#include "common/base/write_all.h"

namespace attune {
namespace {

constexpr size_t kWriteBuffer = 1 << 20;

std::filesystem::path TemporaryName(const std::filesystem::path& path) {
  // Random: a leftover of an earlier process, or another host, must never be in the way.
  return path.string() + ".tmp." + NewToken().substr(0, 16);
}

std::filesystem::path FolderOf(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

bool MeansNoHardLinks(int error) {
  return error == EPERM || error == EOPNOTSUPP || error == ENOSYS;
}

}  // namespace

Status WriteAll(int fd, std::string_view bytes, const std::string& what) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, what);
    }
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return Status();
}

Result<std::string> ReadFile(const std::filesystem::path& path, uint64_t limit) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open " + path.string());
  std::string content;
  char chunk[64 << 10];
  for (;;) {
    ssize_t n = read(fd, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      int error = errno;
      close(fd);
      return ErrnoStatus(error, "read " + path.string());
    }
    if (n == 0) break;
    content.append(chunk, static_cast<size_t>(n));
    if (content.size() > limit) {
      close(fd);
      return InvalidArgument(path.string() + " is larger than the limit of " +
                             std::to_string(limit) + " bytes");
    }
  }
  close(fd);
  return content;
}

Status WriteFileAtomically(const std::filesystem::path& path, std::string_view content) {
  ATTUNE_ASSIGN_OR_RETURN(AtomicFileWriter writer, AtomicFileWriter::Create(path));
  ATTUNE_RETURN_IF_ERROR(writer.Append(content));
  return writer.Commit();
}

Status CreateFolders(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::is_directory(folder, error)) return Status();
  const std::filesystem::path parent = FolderOf(folder);
  ATTUNE_RETURN_IF_ERROR(CreateFolders(parent));
  std::filesystem::create_directory(folder, error);
  if (error) return ErrnoStatus(error.value(), "create folder " + folder.string());
  return SyncFolder(parent);
}

Status SyncFolder(const std::filesystem::path& folder) {
  int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open folder " + folder.string());
  int rc = fsync(fd);
  int error = errno;
  close(fd);
  // Some network file systems refuse to sync a folder; they order renames by themselves.
  if (rc != 0 && error != EINVAL) return ErrnoStatus(error, "sync folder " + folder.string());
  return Status();
}

Result<std::shared_ptr<MappedFile>> MappedFile::Open(const std::filesystem::path& path) {
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "open " + path.string());
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return InvalidArgument(path.string() + " is not a regular file");
  }
  size_t size = static_cast<size_t>(info.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
      int error = errno;
      close(fd);
      return ErrnoStatus(error, "map " + path.string());
    }
  }
  close(fd);
  return std::shared_ptr<MappedFile>(new MappedFile(static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<std::byte*>(data_), size_);
}

Result<AtomicFileWriter> AtomicFileWriter::Create(const std::filesystem::path& path) {
  std::filesystem::path temporary = TemporaryName(path);
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "create " + temporary.string());
  return AtomicFileWriter(fd, path, temporary);
}

AtomicFileWriter::AtomicFileWriter(AtomicFileWriter&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      buffer_(std::move(other.buffer_)),
      size_(other.size_) {}

AtomicFileWriter::~AtomicFileWriter() {
  if (fd_ < 0) return;
  close(fd_);
  unlink(temporary_.c_str());
}

Status AtomicFileWriter::Flush() {
  ATTUNE_RETURN_IF_ERROR(WriteAll(fd_, buffer_, "write " + temporary_.string()));
  buffer_.clear();
  return Status();
}

Status AtomicFileWriter::Append(std::string_view bytes) {
  size_ += bytes.size();
  if (buffer_.size() + bytes.size() > kWriteBuffer) {
    ATTUNE_RETURN_IF_ERROR(Flush());
    if (bytes.size() > kWriteBuffer) return WriteAll(fd_, bytes, "write " + temporary_.string());
  }
  buffer_.append(bytes);
  return Status();
}

Status AtomicFileWriter::Sync() {
  ATTUNE_RETURN_IF_ERROR(Flush());
  return fsync(fd_) == 0 ? Status() : ErrnoStatus(errno, "sync " + temporary_.string());
}

Status AtomicFileWriter::Close() {
  close(std::exchange(fd_, -1));
  return SyncFolder(FolderOf(path_));
}

Status AtomicFileWriter::Commit() {
  ATTUNE_RETURN_IF_ERROR(Sync());
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    return ErrnoStatus(errno, "rename to " + path_.string());
  }
  return Close();
}

Status AtomicFileWriter::CommitUnlessThere() {
  ATTUNE_RETURN_IF_ERROR(Sync());
  if (link(temporary_.c_str(), path_.c_str()) != 0 && errno != EEXIST) {
    if (!MeansNoHardLinks(errno)) return ErrnoStatus(errno, "link to " + path_.string());
    if (access(path_.c_str(), F_OK) != 0) return Commit();
  }
  unlink(temporary_.c_str());
  return Close();
}

bool IsValidName(std::string_view name) {
  if (name.empty() || name.size() > 63) return false;
  auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alphanumeric(name[0])) return false;
  for (char c : name) {
    if (!alphanumeric(c) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

}  // namespace attune
