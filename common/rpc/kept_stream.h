#pragma once

// One bidirectional stream that is kept: dialled, written, read, and dialled again with backoff
// when it breaks. Used by the worker and the trainer, whose protocols differ only in their
// messages.
//
// What is to be sent is pulled from the handler, never queued here: after a break the handler says
// again what was not acknowledged, and nothing grows while the peer is away.

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/mutex.h"
#include "common/rpc/backoff.h"
#include "common/rpc/rpc.h"

namespace attune::rpc {

using SteadyTime = std::chrono::steady_clock::time_point;

template <typename Out, typename In>
class KeptStream {
 public:
  using Stream = grpc::ClientReaderWriterInterface<Out, In>;

  class Handler {
   public:
    virtual ~Handler() = default;
    virtual std::unique_ptr<Stream> Open(grpc::ClientContext* context) = 0;
    // The first message of each stream; what was sent before and not acknowledged is to be sent
    // again. On the writing thread, as Next and OnBroken.
    virtual Out Hello() = 0;
    // What to send now; or nothing, and then *wake_at lowered to when to ask again.
    virtual std::optional<Out> Next(SteadyTime now, SteadyTime* wake_at) = 0;
    // On the reading thread. Must not call Shutdown.
    virtual void OnMessage(const In& message) = 0;
    // The stream ended. connected: it had carried a message from the peer. away: since the end of
    // the last stream that had, or since Start; a peer that is there may be silent for long.
    // Returns how long to wait at least before the next dial; nothing: do not dial again.
    virtual std::optional<std::chrono::milliseconds> OnBroken(const Status& status, bool connected,
                                                              std::chrono::milliseconds away) = 0;
  };

  struct Options {
    Endpoint endpoint;
    std::chrono::milliseconds backoff_initial{100};
    std::chrono::milliseconds backoff_max{5000};
    uint64_t seed = 1;  // of the jitter
    // A stream, too, has a deadline; a healthy one is then simply dialled again.
    std::chrono::milliseconds stream_timeout = std::chrono::hours(24);
  };

  // The handler must outlive the stream.
  KeptStream(Options options, Handler* handler)
      : options_(std::move(options)),
        handler_(handler),
        backoff_(options_.backoff_initial, options_.backoff_max, options_.seed) {}
  ~KeptStream() { Shutdown(); }

  void Start() EXCLUDES(mutex_) {
    {
      MutexLock lock(&mutex_);
      away_since_ = std::chrono::steady_clock::now();
    }
    thread_ = std::thread([this] { Run(); });
  }

  // There may be something to send.
  void Wake() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    woken_ = true;
    changed_.NotifyAll();
  }

  // Cancels the stream and joins the threads. Safe to repeat.
  void Shutdown() EXCLUDES(mutex_) {
    {
      MutexLock lock(&mutex_);
      stopping_ = true;
      if (context_ != nullptr) context_->TryCancel();
      changed_.NotifyAll();
    }
    if (thread_.joinable()) thread_.join();
  }

 private:
  void Run() EXCLUDES(mutex_) {
    while (true) {
      auto context = NewContext(options_.endpoint, options_.stream_timeout);
      {
        MutexLock lock(&mutex_);
        if (stopping_) return;
        context_ = context.get();
        broken_ = connected_ = false;
      }
      Status status = RunOnce(context.get());
      bool connected;
      std::chrono::milliseconds away;
      {
        MutexLock lock(&mutex_);
        context_ = nullptr;
        if (stopping_) return;
        connected = connected_;
        const SteadyTime now = std::chrono::steady_clock::now();
        if (connected) away_since_ = now;
        away = std::chrono::duration_cast<std::chrono::milliseconds>(now - away_since_);
      }
      const auto wait_min = handler_->OnBroken(status, connected, away);
      if (!wait_min) return;
      if (connected) backoff_.Reset();
      if (!Pause(std::max(*wait_min, backoff_.Next()))) return;
    }
  }

  Status RunOnce(grpc::ClientContext* context) EXCLUDES(mutex_) {
    std::unique_ptr<Stream> stream = handler_->Open(context);
    if (stream->Write(handler_->Hello())) {
      std::thread reader([this, &stream] { ReadAll(stream.get()); });
      // A cancel after the peer ended the stream could hide the peer's status.
      if (!WriteWhileGood(stream.get())) context->TryCancel();
      reader.join();
    }
    return FromGrpc(stream->Finish());
  }

  void ReadAll(Stream* stream) EXCLUDES(mutex_) {
    In message;
    while (stream->Read(&message)) {
      {
        MutexLock lock(&mutex_);
        connected_ = true;
      }
      handler_->OnMessage(message);
      Wake();
    }
    MutexLock lock(&mutex_);
    broken_ = true;
    changed_.NotifyAll();
  }

  // True when the peer ended the stream.
  bool WriteWhileGood(Stream* stream) EXCLUDES(mutex_) {
    while (true) {
      {
        MutexLock lock(&mutex_);
        if (stopping_ || broken_) return broken_;
        woken_ = false;
      }
      const SteadyTime now = std::chrono::steady_clock::now();
      SteadyTime wake_at = now + std::chrono::seconds(30);
      if (std::optional<Out> message = handler_->Next(now, &wake_at)) {
        if (stream->Write(*message)) continue;
        return AwaitEnd();
      }
      MutexLock lock(&mutex_);
      while (!woken_ && !stopping_ && !broken_) {
        if (!changed_.WaitUntil(&mutex_, wake_at)) break;
      }
    }
  }

  // After a write that failed: the peer's own status is on its way.
  bool AwaitEnd() EXCLUDES(mutex_) {
    const SteadyTime until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    MutexLock lock(&mutex_);
    while (!broken_ && !stopping_) {
      if (!changed_.WaitUntil(&mutex_, until)) break;
    }
    return broken_;
  }

  // False when told to stop meanwhile.
  bool Pause(std::chrono::milliseconds delay) EXCLUDES(mutex_) {
    const SteadyTime until = std::chrono::steady_clock::now() + delay;
    MutexLock lock(&mutex_);
    while (!stopping_) {
      if (!changed_.WaitUntil(&mutex_, until)) break;
    }
    return !stopping_;
  }

  const Options options_;
  Handler* const handler_;

  Backoff backoff_;  // of thread_
  std::thread thread_;

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  bool woken_ GUARDED_BY(mutex_) = false;
  bool broken_ GUARDED_BY(mutex_) = false;
  bool connected_ GUARDED_BY(mutex_) = false;
  SteadyTime away_since_ GUARDED_BY(mutex_);
  grpc::ClientContext* context_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace attune::rpc
