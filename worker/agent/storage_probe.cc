#include "worker/agent/storage_probe.h"

#include "common/base/files.h"

namespace attune::worker {
namespace {

std::string Look(const std::filesystem::path& file, const std::string& text) {
  auto content = ReadFile(file, 256);
  if (!content.ok()) {
    return "the cluster's storage is not seen here: " + content.status().message() +
           "; mount it under the same path as on the coordinator's host";
  }
  if (content->substr(0, content->find('\n')) == text) return "";
  return file.string() + " is of another cluster: mount the coordinator's storage there";
}

}  // namespace

void StorageProbe::Start() {
  thread_ = std::thread([this] { Run(); });
}

void StorageProbe::Shutdown() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void StorageProbe::Watch(const std::filesystem::path& file, const std::string& text) {
  MutexLock lock(&mutex_);
  if (file_ == file && text_ == text) return;
  file_ = file;
  text_ = text;
  watch_changed_ = true;
  wake_.NotifyAll();
}

std::string StorageProbe::Trouble() const {
  MutexLock lock(&mutex_);
  if (reading_since_ && std::chrono::steady_clock::now() - *reading_since_ > options_.patience) {
    return "the cluster's storage does not answer: a read of " + file_.string() + " hangs";
  }
  return trouble_;
}

void StorageProbe::Run() {
  for (;;) {
    std::filesystem::path file;
    std::string text;
    {
      MutexLock lock(&mutex_);
      const SteadyTime next = std::chrono::steady_clock::now() + options_.interval;
      while (!stopping_ && !watch_changed_) {
        if (!wake_.WaitUntil(&mutex_, next)) break;
      }
      if (stopping_) return;
      watch_changed_ = false;
      if (file_.empty()) continue;
      file = file_;
      text = text_;
      reading_since_ = std::chrono::steady_clock::now();
    }
    std::string trouble = Look(file, text);
    bool changed = false;
    {
      MutexLock lock(&mutex_);
      reading_since_.reset();
      changed = trouble_ != trouble;
      trouble_ = std::move(trouble);
    }
    if (changed) changed_();
  }
}

}  // namespace attune::worker
