#include "coordinator/api/pull_stream.h"

namespace attune {

void StreamPump::Start() {
  thread_ = std::thread([this] { Run(); });
}

void StreamPump::Shutdown() {
  std::vector<std::shared_ptr<Pullable>> open;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    for (auto& [raw, stream] : streams_) open.push_back(stream);
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
  for (auto& stream : open) {
    stream->Close(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the coordinator shuts down"));
  }
}

void StreamPump::Wake() {
  MutexLock lock(&mutex_);
  woken_ = true;
  wake_.NotifyOne();
}

bool StreamPump::Add(std::shared_ptr<Pullable> stream) {
  MutexLock lock(&mutex_);
  if (stopping_ || streams_.size() >= kStreamsMax) return false;
  Pullable* raw = stream.get();
  streams_[raw] = std::move(stream);
  woken_ = true;
  wake_.NotifyOne();
  return true;
}

void StreamPump::Remove(Pullable* stream) {
  std::shared_ptr<Pullable> removed;  // deleted without the lock
  MutexLock lock(&mutex_);
  auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  removed = std::move(found->second);
  streams_.erase(found);
}

void StreamPump::Run() {
  for (;;) {
    std::vector<std::shared_ptr<Pullable>> streams;
    {
      MutexLock lock(&mutex_);
      const auto deadline = std::chrono::steady_clock::now() + kInterval;
      while (!woken_ && !stopping_) {
        if (!wake_.WaitUntil(&mutex_, deadline)) break;
      }
      if (stopping_) return;
      woken_ = false;
      for (auto& [raw, stream] : streams_) streams.push_back(stream);
    }
    for (auto& stream : streams) stream->Pull();
  }
}

}  // namespace attune
