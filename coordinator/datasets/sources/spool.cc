#include "coordinator/datasets/sources/spool.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "common/base/write_all.h"

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
  return WriteAll(fd_, bytes, "write to a file in " + folder_.string());
}

int Spool::Release() {
  return std::exchange(fd_, -1);
}

}  // namespace attune::datasets
