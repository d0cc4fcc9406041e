#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>

namespace attune::cli {

// Whether a stream that ended so is worth opening again.
inline bool MayComeBack(grpc::StatusCode code) {
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED ||
         code == grpc::StatusCode::INTERNAL || code == grpc::StatusCode::CANCELLED ||
         code == grpc::StatusCode::UNKNOWN || code == grpc::StatusCode::ABORTED;
}

// A server stream that can be waited on for a while, so that one thread redraws, counts down and
// sees Ctrl-C.
template <typename Item>
class StreamReader {
 public:
  enum class Event { kItem, kTimeout, kEnd };

  // prepare: stub.PrepareAsyncX(context, request, queue).
  template <typename Prepare>
  StreamReader(std::unique_ptr<grpc::ClientContext> context, const Prepare& prepare)
      : context_(std::move(context)), reader_(prepare(context_.get(), &queue_)) {
    reader_->StartCall(kStarted);
  }
  ~StreamReader() {
    if (!ended_) context_->TryCancel();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  // kItem: the next item is in *item. kEnd: status() says how it ended.
  Event Next(Item* item, std::chrono::milliseconds timeout) {
    auto deadline = std::chrono::system_clock::now() + timeout;
    for (;;) {
      if (ended_) return Event::kEnd;
      void* tag;
      bool ok;
      auto next = queue_.AsyncNext(&tag, &ok, deadline);
      if (next == grpc::CompletionQueue::TIMEOUT) return Event::kTimeout;
      if (next == grpc::CompletionQueue::SHUTDOWN) return ended_ = true, Event::kEnd;
      if (tag == kFinished) return ended_ = true, Event::kEnd;
      if (!ok) {
        reader_->Finish(&status_, kFinished);
        continue;
      }
      bool got = tag == kRead;
      if (got) *item = std::move(item_);
      reader_->Read(&item_, kRead);
      if (got) return Event::kItem;
    }
  }
  const grpc::Status& status() const { return status_; }

 private:
  static inline void* const kStarted = reinterpret_cast<void*>(1);
  static inline void* const kRead = reinterpret_cast<void*>(2);
  static inline void* const kFinished = reinterpret_cast<void*>(3);
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientAsyncReader<Item>> reader_;
  Item item_;
  grpc::Status status_;
  bool ended_ = false;
};

}  // namespace attune::cli
