#pragma once

// attune-worker's stream to the coordinator: registers, beats, starts and stops trainers as told,
// and reports exits and logs until they are acknowledged. While the coordinator is away the
// trainers go on.

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "attune/v1/worker.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/rpc/kept_stream.h"
#include "worker/agent/config.h"
#include "worker/agent/gpu_probe.h"
#include "worker/agent/log_shipper.h"
#include "worker/agent/metrics.h"
#include "worker/agent/process.h"
#include "worker/agent/storage_probe.h"
#include "worker/agent/supervisor.h"

namespace attune::worker {

class Agent : private rpc::KeptStream<v1::WorkerMessage, v1::WorkerCommand>::Handler {
 public:
  struct Options {
    std::chrono::milliseconds backoff_initial{100}, backoff_max{5000};
    std::chrono::milliseconds exit_resend{5000};
    // Between dials to a coordinator that refuses a worker which it once took: half of it to all.
    std::chrono::milliseconds refused_wait{60000};
    StorageProbe::Options storage;
    GpuProbe::Options gpus;
    LogShipper::Options logs;
  };
  // config is complete (CompleteWorkerConfig). metrics must outlive the agent.
  Agent(WorkerConfig config, Options options, WorkerMetrics* metrics);
  ~Agent() override;

  // Errors: the work folder cannot be made or is used by another worker, unreadable TLS files.
  Status Start();
  // Stops the trainers (SIGTERM, SIGKILL after grace), then gives the coordinator up to flush to
  // take their exits and logs. Safe to repeat.
  void Shutdown(std::chrono::milliseconds grace, std::chrono::milliseconds flush);

  // False once the coordinator refused this worker before it ever took it; why() says why. Later it
  // is asked again: a token may be corrected, and trainers are worth keeping meanwhile.
  bool welcome() const { return welcome_; }
  std::string why() const EXCLUDES(mutex_);

 private:
  using Connection = rpc::KeptStream<v1::WorkerMessage, v1::WorkerCommand>;
  using SteadyTime = rpc::SteadyTime;

  std::unique_ptr<Connection::Stream> Open(grpc::ClientContext* context) override;
  v1::WorkerMessage Hello() override;
  std::optional<v1::WorkerMessage> Next(SteadyTime now, SteadyTime* wake_at) override;
  void OnMessage(const v1::WorkerCommand& command) override;
  std::optional<std::chrono::milliseconds> OnBroken(const Status& status, bool connected,
                                                    std::chrono::milliseconds away) override;

  std::optional<v1::WorkerMessage> NextExit(SteadyTime now, SteadyTime* wake_at);
  v1::WorkerMessage MakeHeartbeat();
  void OnRegistered(const v1::Registered& registered) EXCLUDES(mutex_);
  std::optional<std::chrono::milliseconds> OnRefused(const std::string& why) EXCLUDES(mutex_);
  void OnStart(const v1::StartTrainer& start);
  Status PrepareWorkFolder();
  bool Flushed() const;

  const WorkerConfig config_;
  const Options options_;
  const std::string instance_;

  WorkerMetrics* const metrics_;
  UniqueFd lock_;  // held on the work folder
  LogShipper logs_;
  Supervisor supervisor_;
  StorageProbe storage_;
  std::unique_ptr<v1::WorkerService::StubInterface> stub_;
  std::unique_ptr<Connection> connection_;
  std::atomic<bool> welcome_{true};
  std::atomic<bool> registered_{false};
  std::atomic<bool> ever_registered_{false};
  std::atomic<bool> beat_now_{false};
  std::atomic<uint32_t> heartbeat_milliseconds_{2000};

  // Of the writing thread.
  std::unique_ptr<GpuProbe> gpus_;  // null: nobody tells
  SteadyTime next_heartbeat_{};
  std::map<std::string, SteadyTime> exit_due_;
  StatusCode last_trouble_ = StatusCode::kOk;
  rpc::Backoff refused_backoff_;
  std::string token_;

  mutable Mutex mutex_;
  std::string why_ GUARDED_BY(mutex_);
  std::string cluster_id_ GUARDED_BY(mutex_);  // of the first coordinator that told one
};

}  // namespace attune::worker
