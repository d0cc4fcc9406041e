#pragma once

// A trainer's stream to the coordinator: says who it is, hands over tasks, carries reports until
// they are acknowledged. While the stream is away the task goes on.

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "attune/v1/trainer.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/kept_stream.h"
#include "worker/trainer/report_buffer.h"
#include "worker/trainer/task_runner.h"

namespace attune::trainer {

class Control : private rpc::KeptStream<v1::TrainerMessage, v1::TrainerCommand>::Handler {
 public:
  enum class End { kNone, kTold, kAway, kRefused };

  struct Options {
    std::string trainer_id;
    rpc::Endpoint endpoint;
    std::chrono::milliseconds away_max{600'000};  // then the trainer gives up
    std::chrono::milliseconds progress_interval{250};
    std::chrono::milliseconds backoff_initial{100}, backoff_max{3000};
  };

  // All outlive it.
  Control(Options options, std::shared_ptr<v1::TrainerService::StubInterface> stub,
          TaskRunner* runner, ReportBuffer* reports);
  ~Control() override;

  void Start() { connection_.Start(); }
  void Shutdown() { connection_.Shutdown(); }
  // There may be something to send.
  void Wake() { connection_.Wake(); }

  // Why the trainer should end, and the words for it.
  End end() const { return end_; }
  std::string why() const EXCLUDES(mutex_);

 private:
  using Connection = rpc::KeptStream<v1::TrainerMessage, v1::TrainerCommand>;
  using SteadyTime = rpc::SteadyTime;

  std::unique_ptr<Connection::Stream> Open(grpc::ClientContext* context) override;
  v1::TrainerMessage Hello() override;
  std::optional<v1::TrainerMessage> Next(SteadyTime now, SteadyTime* wake_at) override;
  void OnMessage(const v1::TrainerCommand& command) override;
  std::optional<std::chrono::milliseconds> OnBroken(const Status& status, bool connected,
                                                    std::chrono::milliseconds away) override;
  void Finish(End end, const std::string& why) EXCLUDES(mutex_);

  const Options options_;
  const std::shared_ptr<v1::TrainerService::StubInterface> stub_;
  TaskRunner* const runner_;
  ReportBuffer* const reports_;
  std::atomic<End> end_{End::kNone};
  SteadyTime next_progress_{};  // of the writing thread

  mutable Mutex mutex_;
  std::string why_ GUARDED_BY(mutex_);
  Connection connection_;  // last: its threads use all the above
};

}  // namespace attune::trainer
