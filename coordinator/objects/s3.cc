#include <arrow/buffer.h>
#include <arrow/filesystem/s3fs.h>
#include <arrow/io/interfaces.h>

#include <algorithm>

#include "common/base/mutex.h"
#include "common/log/log.h"
#include "coordinator/objects/sources.h"

namespace attune::objects {
namespace {

// A request each, so not less, though the patience of timely_source.h is for one as a whole.
constexpr int64_t kChunkBytes = 1 << 20;
constexpr double kConnectSeconds = 10, kRequestSeconds = 60;

// Arrow's own word for a prefix without objects; a bucket that is not there is an error of AWS.
bool IsPathNotFound(const arrow::Status& status) {
  return status.IsIOError() && status.message().starts_with("Path does not exist");
}

Status FromArrow(const arrow::Status& status, const std::string& what) {
  if (status.ok()) return Status();
  const std::string message = what + ": " + status.message();
  if (status.IsInvalid()) return InvalidArgument(message);
  if (message.find("NO_SUCH_BUCKET") != std::string::npos ||
      message.find("RESOURCE_NOT_FOUND") != std::string::npos || IsPathNotFound(status)) {
    return NotFound(message);
  }
  if (message.find("ACCESS_DENIED") != std::string::npos ||
      message.find("INVALID_ACCESS_KEY_ID") != std::string::npos) {
    return Status(StatusCode::kPermissionDenied, message);
  }
  return Unavailable(message);
}

Status Initialize() {
  static Mutex mutex;
  MutexLock lock(&mutex);
  if (arrow::fs::IsS3Initialized()) return Status();
  auto options = arrow::fs::S3GlobalOptions::Defaults();
  options.log_level = arrow::fs::S3LogLevel::Off;
  return FromArrow(arrow::fs::InitializeS3(options), "start the S3 client");
}

// "s3://KEY:SECRET@bucket".
bool HoldsCredentials(const std::string& uri) {
  const size_t begin = std::string_view("s3://").size();
  return uri.substr(begin, uri.find_first_of("/?", begin) - begin).find('@') != std::string::npos;
}

class S3Prefix final : public ObjectSource {
 public:
  S3Prefix(std::string uri, std::string base, std::shared_ptr<arrow::fs::S3FileSystem> files)
      : uri_(std::move(uri)), base_(std::move(base)), files_(std::move(files)) {}

  Result<std::vector<Object>> List(std::string_view suffix) override {
    arrow::fs::FileSelector selector;
    selector.base_dir = base_;
    selector.recursive = true;
    auto found = files_->GetFileInfo(selector);
    if (IsPathNotFound(found.status())) return std::vector<Object>();
    if (!found.ok()) return FromArrow(found.status(), "list " + uri_);
    std::vector<Object> objects;
    for (const arrow::fs::FileInfo& info : *found) {
      if (!info.IsFile()) continue;
      const std::string name = info.path().substr(base_.size() + 1);
      if (!name.ends_with(suffix) || !IsVisible(name)) continue;
      if (objects.size() == kObjectsMax) return TooManyObjects(uri_);
      objects.push_back({name, static_cast<uint64_t>(std::max<int64_t>(0, info.size())),
                         std::chrono::time_point_cast<Duration>(info.mtime())});
    }
    std::sort(objects.begin(), objects.end(),
              [](const Object& a, const Object& b) { return a.name < b.name; });
    return objects;
  }

  Status Read(const std::string& name,
              const std::function<Status(std::string_view)>& take) override {
    auto stream = files_->OpenInputStream(base_ + "/" + name);
    if (!stream.ok()) return FromArrow(stream.status(), "open " + uri_ + ": " + name);
    for (;;) {
      auto buffer = (*stream)->Read(kChunkBytes);
      if (!buffer.ok()) return FromArrow(buffer.status(), "read " + uri_ + ": " + name);
      if ((*buffer)->size() == 0) return Status();
      ATTUNE_RETURN_IF_ERROR(take({reinterpret_cast<const char*>((*buffer)->data()),
                                   static_cast<size_t>((*buffer)->size())}));
    }
  }

 private:
  const std::string uri_, base_;  // base: BUCKET or BUCKET/PREFIX
  const std::shared_ptr<arrow::fs::S3FileSystem> files_;
};

}  // namespace

Result<std::unique_ptr<ObjectSource>> MakeS3(const std::string& uri) {
  if (HoldsCredentials(uri)) {
    return InvalidArgument(
        "an address must not hold credentials: it is stored and shown. Give them to the "
        "coordinator, as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or in ~/.aws");
  }
  ATTUNE_RETURN_IF_ERROR(Initialize());
  std::string base;
  auto options = arrow::fs::S3Options::FromUri(uri, &base);
  if (!options.ok()) return FromArrow(options.status(), uri);
  while (base.ends_with('/')) base.pop_back();
  if (base.empty()) return InvalidArgument("'" + uri + "' names no bucket: s3://BUCKET/PREFIX");
  options->connect_timeout = kConnectSeconds;
  options->request_timeout = kRequestSeconds;
  // Few tries: who watches looks again soon, and says so meanwhile.
  options->retry_strategy = arrow::fs::S3RetryStrategy::GetAwsStandardRetryStrategy(2);
  auto files = arrow::fs::S3FileSystem::Make(*options);
  if (!files.ok()) return FromArrow(files.status(), uri);
  return std::unique_ptr<ObjectSource>(new S3Prefix(uri, base, *files));
}

void ShutdownSources() {
  if (!arrow::fs::IsS3Initialized()) return;
  const arrow::Status status = arrow::fs::FinalizeS3();
  if (!status.ok()) spdlog::warn("the S3 client did not stop: {}", status.message());
}

}  // namespace attune::objects
