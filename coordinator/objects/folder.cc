#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>

#include "common/base/files.h"
#include "coordinator/objects/sources.h"

namespace attune::objects {
namespace {

namespace fs = std::filesystem;

// Little, so that what is slow is not taken for what hangs.
constexpr size_t kChunkBytes = 64 << 10;

TimePoint ModifiedAt(const fs::directory_entry& entry, std::error_code& error) {
  const auto time = entry.last_write_time(error);
  return std::chrono::time_point_cast<Duration>(std::chrono::file_clock::to_sys(time));
}

class Folder final : public ObjectSource {
 public:
  explicit Folder(fs::path path) : path_(std::move(path)) {}

  Result<std::vector<Object>> List(std::string_view suffix) override {
    std::error_code error;
    if (!fs::is_directory(path_, error)) return NotFound("there is no folder " + path_.string());
    std::vector<Object> objects;
    fs::recursive_directory_iterator it(path_, fs::directory_options::skip_permission_denied,
                                        error);
    for (; !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
      // What vanishes or cannot be looked at is seen next time, or never.
      std::error_code gone;
      const std::string name = it->path().lexically_relative(path_).generic_string();
      if (!name.ends_with(suffix) || !IsVisible(name) || !it->is_regular_file(gone)) continue;
      Object object{name, it->file_size(gone), ModifiedAt(*it, gone)};
      if (gone) continue;
      if (objects.size() == kObjectsMax) return TooManyObjects(path_.string());
      objects.push_back(std::move(object));
    }
    if (error) return ErrnoStatus(error.value(), "list " + path_.string());
    std::sort(objects.begin(), objects.end(),
              [](const Object& a, const Object& b) { return a.name < b.name; });
    return objects;
  }

  Status Read(const std::string& name,
              const std::function<Status(std::string_view)>& take) override {
    const fs::path path = path_ / name;
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return ErrnoStatus(errno, "open " + path.string());
    const Status status = ReadAll(fd, path, take);
    close(fd);
    return status;
  }

 private:
  static Status ReadAll(int fd, const fs::path& path,
                        const std::function<Status(std::string_view)>& take) {
    std::string chunk(kChunkBytes, '\0');
    for (;;) {
      const ssize_t got = read(fd, chunk.data(), chunk.size());
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, "read " + path.string());
      if (got == 0) return Status();
      ATTUNE_RETURN_IF_ERROR(take(std::string_view(chunk).substr(0, static_cast<size_t>(got))));
    }
  }

  const fs::path path_;
};

}  // namespace

std::unique_ptr<ObjectSource> MakeFolder(const std::string& path) {
  return std::make_unique<Folder>(path);
}

}  // namespace attune::objects
