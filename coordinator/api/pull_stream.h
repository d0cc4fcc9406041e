#pragma once

// Server streams that follow something growing (events, metrics, logs) without a thread each. A
// stream is a function that returns what is new; one pump thread asks every stream that has nothing
// to write, when woken and at least every kInterval.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/rpc.h"

namespace attune {

class Pullable {
 public:
  virtual ~Pullable() = default;
  // Asks for more if nothing is being written. On the pump's thread.
  virtual void Pull() = 0;
  virtual void Close(const grpc::Status& status) = 0;
};

class StreamPump {
 public:
  static constexpr std::chrono::milliseconds kInterval{250};
  static constexpr size_t kStreamsMax = 4096;

  ~StreamPump() { Shutdown(); }
  void Start();
  // Ends all streams with UNAVAILABLE, then the thread.
  void Shutdown() EXCLUDES(mutex_);
  // Something may be new.
  void Wake() EXCLUDES(mutex_);

  // False when there are too many streams, or the pump was shut down.
  bool Add(std::shared_ptr<Pullable> stream) EXCLUDES(mutex_);
  void Remove(Pullable* stream) EXCLUDES(mutex_);

 private:
  void Run() EXCLUDES(mutex_);

  std::thread thread_;
  Mutex mutex_;
  CondVar wake_;
  bool woken_ GUARDED_BY(mutex_) = false;
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::map<Pullable*, std::shared_ptr<Pullable>> streams_ GUARDED_BY(mutex_);
};

// What a pull found. end: nothing will follow.
template <typename Message>
struct Pulled {
  std::vector<Message> messages;
  bool end = false;
};

template <typename Message>
class PullStream final : public grpc::ServerWriteReactor<Message>,
                         public Pullable,
                         public std::enable_shared_from_this<PullStream<Message>> {
 public:
  using Source = std::function<Result<Pulled<Message>>()>;

  // Starts a stream of what source returns; lives until gRPC is done with it.
  static grpc::ServerWriteReactor<Message>* Start(StreamPump* pump, Source source) {
    auto stream = std::shared_ptr<PullStream>(new PullStream(pump, std::move(source)));
    PullStream* raw = stream.get();
    stream->self_ = stream;
    if (!pump->Add(stream)) {
      stream->Close(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                 "too many open streams: close some and try again"));
    }
    return raw;
  }
  // A stream that only fails.
  static grpc::ServerWriteReactor<Message>* Fail(const grpc::Status& status) {
    auto stream = std::shared_ptr<PullStream>(new PullStream(nullptr, nullptr));
    PullStream* raw = stream.get();
    stream->self_ = stream;
    stream->Close(status);
    return raw;
  }

  void Pull() override EXCLUDES(mutex_) {
    {
      MutexLock lock(&mutex_);
      if (!queue_.empty() || closing_) return;
    }
    // Only this thread fills an empty queue, so the lock is not needed while the source works.
    Result<Pulled<Message>> pulled = source_();
    MutexLock lock(&mutex_);
    if (closing_) return;
    if (!pulled.ok()) return CloseLocked(rpc::ToGrpc(pulled.status()));
    for (Message& message : pulled->messages) queue_.push_back(std::move(message));
    end_ = pulled->end;
    if (!queue_.empty()) {
      this->StartWrite(&queue_.front());
    } else if (end_) {
      CloseLocked(grpc::Status::OK);
    }
  }

  void Close(const grpc::Status& status) override EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    CloseLocked(status);
  }

 private:
  PullStream(StreamPump* pump, Source source) : pump_(pump), source_(std::move(source)) {}

  void OnWriteDone(bool ok) override EXCLUDES(mutex_) {
    bool drained = false;
    {
      MutexLock lock(&mutex_);
      queue_.pop_front();
      if (closing_) return FinishLocked();
      if (!ok) return CloseLocked(grpc::Status::CANCELLED);
      if (!queue_.empty()) {
        this->StartWrite(&queue_.front());
      } else if (end_) {
        CloseLocked(grpc::Status::OK);
      } else {
        drained = true;
      }
    }
    if (drained) pump_->Wake();
  }
  void OnCancel() override { Close(grpc::Status::CANCELLED); }
  void OnDone() override {
    if (pump_ != nullptr) pump_->Remove(this);
    self_.reset();  // may delete this
  }

  // A write under way ends first; when the peer is gone or the server stops, gRPC ends it.
  void CloseLocked(const grpc::Status& status) REQUIRES(mutex_) {
    if (closing_) return;
    closing_ = true;
    status_ = status;
    if (queue_.empty()) FinishLocked();
  }
  void FinishLocked() REQUIRES(mutex_) {
    if (finished_) return;
    finished_ = true;
    this->Finish(status_);
  }

  StreamPump* const pump_;
  const Source source_;
  std::shared_ptr<PullStream> self_;  // until OnDone
  Mutex mutex_;
  std::deque<Message> queue_ GUARDED_BY(mutex_);  // the front is being written
  bool end_ GUARDED_BY(mutex_) = false;
  bool closing_ GUARDED_BY(mutex_) = false;
  bool finished_ GUARDED_BY(mutex_) = false;
  grpc::Status status_ GUARDED_BY(mutex_);
};

}  // namespace attune
