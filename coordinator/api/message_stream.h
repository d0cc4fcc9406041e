#pragma once

// One long two-way stream of gRPC's callback API: reads go to OnMessage, writes come from a bounded
// queue. Deletes itself when gRPC is done with it.

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <map>
#include <string>

#include "common/base/mutex.h"

namespace attune {

template <typename Incoming, typename Outgoing>
class MessageStream : public grpc::ServerBidiReactor<Incoming, Outgoing> {
 public:
  static constexpr size_t kQueueMax = 10'000;

  explicit MessageStream(grpc::CallbackServerContext* context) : context_(context) {}

  // Starts reading. Once, after construction.
  void Begin() { this->StartRead(&incoming_); }

  // Dropped once closing. A peer that does not read until the queue is full is disconnected.
  void Enqueue(const Outgoing& message) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    if (closing_) return;
    if (queue_.size() >= kQueueMax) {
      CloseLocked(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "does not read its commands"));
      context_->TryCancel();  // the write under way would never end
      return;
    }
    queue_.push_back(message);
    if (queue_.size() == 1) this->StartWrite(&queue_.front());
  }

  void Close(const grpc::Status& status) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    CloseLocked(status);
  }

  bool closing() const EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return closing_;
  }

 protected:
  // A message arrived; OK reads the next, an error closes the stream with it.
  virtual grpc::Status OnMessage(const Incoming& message) = 0;
  // The last call, before the deletion.
  virtual void OnEnd() = 0;

  std::string peer() const { return context_->peer(); }
  const grpc::CallbackServerContext& context() const { return *context_; }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Close(grpc::Status::OK);
    if (closing()) return;
    grpc::Status status = OnMessage(incoming_);
    if (!status.ok()) return Close(status);
    this->StartRead(&incoming_);
  }
  void OnWriteDone(bool ok) override {
    MutexLock lock(&mutex_);
    queue_.pop_front();
    if (closing_) return FinishLocked();
    if (!ok) return CloseLocked(grpc::Status(grpc::StatusCode::UNAVAILABLE, "stream broken"));
    if (!queue_.empty()) this->StartWrite(&queue_.front());
  }
  void OnCancel() override { Close(grpc::Status::CANCELLED); }
  void OnDone() override {
    OnEnd();
    delete this;
  }

  // Finish waits for a write under way; one to a dead peer is ended by keepalive.
  void CloseLocked(const grpc::Status& status) REQUIRES(mutex_) {
    if (closing_) return;
    closing_ = true;
    status_ = status;
    if (queue_.empty()) return FinishLocked();
    queue_.erase(queue_.begin() + 1, queue_.end());
  }
  void FinishLocked() REQUIRES(mutex_) {
    if (finished_) return;
    finished_ = true;
    this->Finish(status_);
  }

  grpc::CallbackServerContext* const context_;
  Incoming incoming_;
  mutable Mutex mutex_;
  std::deque<Outgoing> queue_ GUARDED_BY(mutex_);  // the front is being written
  bool closing_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
  grpc::Status status_ GUARDED_BY(mutex_);
};

// The streams of one kind by the name of their peer; the newest of a name is the valid one. Lock
// order: the hub's mutex before a stream's.
template <typename Stream, typename Outgoing>
class StreamHub {
 public:
  // Replaces, and closes, an older stream of the name. announce runs before another stream of the
  // name is bound or unbound, so that what it posts is in the order of the streams; it must not
  // call the hub.
  void Bind(const std::string& name, Stream* stream, const std::function<void()>& announce)
      EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    Stream*& current = streams_[name];
    if (current != nullptr && current != stream) {
      current->Close(grpc::Status(grpc::StatusCode::ABORTED, "replaced by a newer stream"));
    }
    current = stream;
    announce();
  }
  // announce, likewise, when it was the valid one.
  void Unbind(const std::string& name, Stream* stream, const std::function<void()>& announce)
      EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    auto found = streams_.find(name);
    if (found == streams_.end() || found->second != stream) return;
    streams_.erase(found);
    announce();
  }
  void Send(const std::string& name, const Outgoing& message) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    auto found = streams_.find(name);
    if (found != streams_.end()) found->second->Enqueue(message);
  }
  void Close(const std::string& name, const grpc::Status& status) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    auto found = streams_.find(name);
    if (found != streams_.end()) found->second->Close(status);
  }
  void CloseAll(const grpc::Status& status) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    for (auto& [name, stream] : streams_) stream->Close(status);
  }

 private:
  Mutex mutex_;
  std::map<std::string, Stream*> streams_ GUARDED_BY(mutex_);
};

}  // namespace attune
