#pragma once

// The coordinator's end of a stream, scripted by a test: records what comes, answers through a
// hook, sends and breaks on demand.

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/sync_stream.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/mutex.h"

namespace attune::testing {

inline constexpr std::chrono::seconds kPatience{20};  // a failing test waits this long, no other

template <typename In, typename Out>
class StreamPeer {
 public:
  using Hook = std::function<void(const In&)>;

  // hook runs for each message, after it was recorded; it may Send.
  void set_hook(Hook hook) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    hook_ = std::move(hook);
  }
  // Streams from now on end at once with this status; OK: they live.
  void set_refusal(grpc::Status status) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    refusal_ = std::move(status);
  }

  grpc::Status Serve(grpc::ServerContext* context, grpc::ServerReaderWriter<Out, In>* stream)
      EXCLUDES(mutex_) {
    {
      MutexLock lock(&mutex_);
      const auto& metadata = context->client_metadata();
      const auto token = metadata.find("authorization");
      token_ =
          token == metadata.end() ? "" : std::string(token->second.data(), token->second.size());
      if (!refusal_.ok()) {
        ++refusals_;
        changed_.NotifyAll();
        return refusal_;
      }
      stream_ = stream;
      context_ = context;
      ++streams_;
      changed_.NotifyAll();
    }
    In message;
    while (stream->Read(&message)) {
      Hook hook;
      {
        MutexLock lock(&mutex_);
        received_.push_back(message);
        hook = hook_;
        changed_.NotifyAll();
      }
      if (hook) hook(message);
    }
    MutexLock lock(&mutex_);
    if (stream_ == stream) {
      stream_ = nullptr;
      context_ = nullptr;
    }
    changed_.NotifyAll();
    return grpc::Status::OK;
  }

  bool Send(const Out& message) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return stream_ != nullptr && stream_->Write(message);
  }
  void Break() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    if (context_ != nullptr) context_->TryCancel();
  }

  // False when the condition did not come true in time. It is looked at after each message or
  // stream.
  bool Await(const std::function<bool(const std::vector<In>&)>& condition) EXCLUDES(mutex_) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    MutexLock lock(&mutex_);
    while (!condition(received_)) {
      if (!changed_.WaitUntil(&mutex_, until)) return condition(received_);
    }
    return true;
  }
  bool AwaitRefusals(int refusals) EXCLUDES(mutex_) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    MutexLock lock(&mutex_);
    while (refusals_ < refusals) {
      if (!changed_.WaitUntil(&mutex_, until)) return false;
    }
    return true;
  }
  // The authorization that the last stream came with.
  std::string token() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return token_;
  }
  bool AwaitStreams(int streams) EXCLUDES(mutex_) {
    const auto until = std::chrono::steady_clock::now() + kPatience;
    MutexLock lock(&mutex_);
    while (streams_ < streams) {
      if (!changed_.WaitUntil(&mutex_, until)) return false;
    }
    return true;
  }
  std::vector<In> received() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return received_;
  }
  void Forget() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    received_.clear();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  Hook hook_ GUARDED_BY(mutex_);
  grpc::Status refusal_ GUARDED_BY(mutex_);
  grpc::ServerReaderWriter<Out, In>* stream_ GUARDED_BY(mutex_) = nullptr;
  grpc::ServerContext* context_ GUARDED_BY(mutex_) = nullptr;
  int streams_ GUARDED_BY(mutex_) = 0;
  int refusals_ GUARDED_BY(mutex_) = 0;
  std::string token_ GUARDED_BY(mutex_);
  std::vector<In> received_ GUARDED_BY(mutex_);
};

// A gRPC server at a port of its own, which can go away and come back at the same port.
class TestServer {
 public:
  explicit TestServer(grpc::Service* service) : service_(service) { Start(); }
  ~TestServer() { Stop(); }

  void Start() {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port_),
                             grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(service_);
    server_ = builder.BuildAndStart();
  }
  void Stop() {
    if (!server_) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  grpc::Service* const service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// Polls a condition that nothing announces; false when it did not come true in time.
bool AwaitTrue(const std::function<bool()>& condition);

}  // namespace attune::testing
