#include "coordinator/store/space_reserve.h"

#include <fcntl.h>
#include <unistd.h>

#include <system_error>

namespace attune {

void SpaceReserve::Restore() {
  constexpr uint64_t kRoomFactor = 4;
  std::error_code error;
  if (held()) return;
  auto space = std::filesystem::space(path_.parent_path(), error);
  if (error || space.available < kRoomFactor * bytes_) return;
  int fd = open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  bool whole = posix_fallocate(fd, 0, static_cast<off_t>(bytes_)) == 0;
  close(fd);
  if (!whole) Release();
}

void SpaceReserve::Release() {
  std::error_code error;
  std::filesystem::remove(path_, error);
}

bool SpaceReserve::held() const {
  std::error_code error;
  return std::filesystem::file_size(path_, error) == bytes_ && !error;
}

}  // namespace attune
