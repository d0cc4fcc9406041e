#include "worker/agent/agent.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "common/base/clock.h"
#include "common/base/hash.h"
#include "common/base/version.h"
#include "common/rpc/certificates.h"
#include "worker/agent/environment.h"
#include "worker/agent/host.h"

extern char** environ;

namespace attune::worker {
namespace {

// Whatever the coordinator says, as its configuration allows it.
constexpr uint32_t kHeartbeatMin = 100, kHeartbeatMax = 60'000;  // milliseconds

template <typename List>
void FillRunning(const std::vector<RunningTrainer>& trainers, List* out) {
  for (const RunningTrainer& trainer : trainers) {
    auto* entry = out->Add();
    entry->set_trainer_id(trainer.identity.trainer_id);
    entry->set_job_id(trainer.identity.job_id);
    entry->set_generation(trainer.identity.generation);
    entry->set_rank(trainer.identity.rank);
    entry->set_slot(trainer.identity.slot);
    entry->set_pid(trainer.pid);
  }
}

std::string DeviceName(const WorkerConfig& config) {
  if (config.device != "cuda") return config.device;
  const auto gpus = GpuNames();
  return gpus.empty() ? config.device : gpus.front();
}

}  // namespace

Agent::Agent(WorkerConfig config, Options options, WorkerMetrics* metrics)
    : config_(std::move(config)),
      options_(options),
      instance_(NewId("worker")),
      metrics_(metrics),
      logs_(options.logs),
      supervisor_({config_.slots, config_.work_dir / "logs"},
                  {[this](const RunningTrainer& trainer) {
                     metrics_->CountStart();
                     metrics_->SetRunning(supervisor_.running());
                     const std::string& id = trainer.identity.trainer_id;
                     logs_.Track(id, supervisor_.LogPath(id));
                     connection_->Wake();
                   },
                   [this](const TrainerExit& exit) {
                     metrics_->CountExit(exit);
                     metrics_->SetRunning(supervisor_.running());
                     logs_.MarkEnded(exit.trainer_id);
                     connection_->Wake();
                   }}),
      storage_(options.storage,
               [this] {
                 beat_now_ = true;
                 connection_->Wake();
               }),
      refused_backoff_(options.refused_wait, options.refused_wait,
                       std::hash<std::string>()(instance_)) {}

Agent::~Agent() {
  Shutdown(std::chrono::milliseconds(0), std::chrono::milliseconds(0));
}

Status Agent::PrepareWorkFolder() {
  const auto folder = config_.work_dir / "logs";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return ErrnoStatus(error.value(), "make the folder " + folder.string());
  const auto lock_path = config_.work_dir / "lock";
  lock_ = UniqueFd(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (!lock_.valid()) return ErrnoStatus(errno, "open " + lock_path.string());
  if (flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return AlreadyExists("another worker runs in " + config_.work_dir.string() +
                         "; give each worker of a host its own node name or work_dir");
  }
  return Status();
}

Status Agent::Start() {
  ATTUNE_RETURN_IF_ERROR(PrepareWorkFolder());
  logs_.Adopt(config_.work_dir / "logs");
  ATTUNE_ASSIGN_OR_RETURN(auto channel, rpc::Connect(config_.coordinator));
  stub_ = v1::WorkerService::NewStub(channel);
  Connection::Options options;
  options.endpoint = config_.coordinator;
  options.endpoint.token.clear();  // Open adds what the file holds then
  options.backoff_initial = options_.backoff_initial;
  options.backoff_max = options_.backoff_max;
  options.seed = std::hash<std::string>()(config_.node) ^
                 static_cast<uint64_t>(SystemClock()->Now().time_since_epoch().count());
  connection_ = std::make_unique<Connection>(options, static_cast<Connection::Handler*>(this));
  metrics_->SetSlots(config_.slots);
  metrics_->SetHost({config_.cores, ReadHostFacts().memory_bytes});
  metrics_->SetHostLoad(ReadHostLoad());
  if (config_.device == "cuda") {
    const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
    if (auto query = NewNvmlQuery(visible == nullptr ? "" : visible)) {
      gpus_ = std::make_unique<GpuProbe>(std::move(query), options_.gpus);
    } else {
      spdlog::warn("the driver's libnvidia-ml.so.1 does not tell about GPUs");
    }
  }
  ATTUNE_RETURN_IF_ERROR(supervisor_.Start());
  storage_.Start();
  connection_->Start();
  spdlog::info("worker {} with {} {} slots, coordinator {}", config_.node, config_.slots,
               config_.device, config_.coordinator.address);
  return Status();
}

void Agent::Shutdown(std::chrono::milliseconds grace, std::chrono::milliseconds flush) {
  if (!connection_) return;
  supervisor_.Shutdown(grace);
  const SteadyTime until = std::chrono::steady_clock::now() + flush;
  while (registered_ && !Flushed() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  connection_->Shutdown();
  storage_.Shutdown();
}

bool Agent::Flushed() const {
  return supervisor_.Exits().empty() && logs_.AllShipped();
}

std::string Agent::why() const {
  MutexLock lock(&mutex_);
  return why_;
}

std::unique_ptr<Agent::Connection::Stream> Agent::Open(grpc::ClientContext* context) {
  auto token = ReadWorkerToken(config_);
  if (token.ok()) {
    token_ = *token;
  } else {
    spdlog::warn("{}; the last token is used", token.status().message());
  }
  rpc::AddToken(token_, context);
  return stub_->Connect(context);
}

v1::WorkerMessage Agent::Hello() {
  logs_.Rewind();
  exit_due_.clear();
  next_heartbeat_ = {};
  v1::WorkerMessage message;
  v1::RegisterWorker* hello = message.mutable_register_();
  hello->set_node(config_.node);
  hello->set_slots(config_.slots);
  hello->set_device(DeviceName(config_));
  hello->set_cores(config_.cores);
  hello->set_memory_bytes(ReadHostFacts().memory_bytes);
  hello->set_version(kVersion);
  hello->set_metrics_address(metrics_->address());
  hello->set_instance(instance_);
  FillRunning(supervisor_.Trainers(), hello->mutable_running());
  return message;
}

std::optional<v1::WorkerMessage> Agent::Next(SteadyTime now, SteadyTime* wake_at) {
  if (!registered_) return std::nullopt;  // nothing before the coordinator's answer
  if (auto exit = NextExit(now, wake_at)) return exit;
  if (now >= next_heartbeat_ || beat_now_.exchange(false)) {
    next_heartbeat_ = now + std::chrono::milliseconds(heartbeat_milliseconds_);
    return MakeHeartbeat();
  }
  *wake_at = std::min(*wake_at, next_heartbeat_);
  auto chunk = logs_.Next(now, wake_at);
  if (!chunk) return std::nullopt;
  metrics_->CountLogBytes(chunk->bytes.size());
  v1::WorkerMessage message;
  message.mutable_log()->set_trainer_id(chunk->trainer_id);
  message.mutable_log()->set_offset(chunk->offset);
  message.mutable_log()->set_data(std::move(chunk->bytes));
  return message;
}

std::optional<v1::WorkerMessage> Agent::NextExit(SteadyTime now, SteadyTime* wake_at) {
  const auto exits = supervisor_.Exits();
  std::erase_if(exit_due_, [&](const auto& entry) {
    return std::none_of(exits.begin(), exits.end(),
                        [&](const TrainerExit& exit) { return exit.trainer_id == entry.first; });
  });
  for (const TrainerExit& exit : exits) {
    SteadyTime& due = exit_due_[exit.trainer_id];
    if (due > now) {
      *wake_at = std::min(*wake_at, due);
      continue;
    }
    due = now + options_.exit_resend;
    v1::WorkerMessage message;
    v1::TrainerExited* out = message.mutable_exited();
    out->set_trainer_id(exit.trainer_id);
    out->set_signaled(exit.status.signaled);
    out->set_code(exit.status.code);
    out->set_memory_peak_bytes(exit.status.memory_peak_bytes);
    out->set_start_error(exit.start_error);
    for (const std::string& line : exit.log_tail) out->add_log_tail(line);
    return message;
  }
  return std::nullopt;
}

v1::WorkerMessage Agent::MakeHeartbeat() {
  const HostLoad load = ReadHostLoad();
  metrics_->SetHostLoad(load);
  if (gpus_ != nullptr) metrics_->SetGpuLoads(gpus_->Loads());
  if (const std::string& cert = config_.coordinator.cert_file; !cert.empty()) {
    auto expiry = rpc::CertificateExpiry(cert);
    if (expiry.ok()) metrics_->SetCertificateExpiry(*expiry);
  }
  v1::WorkerMessage message;
  v1::Heartbeat* beat = message.mutable_heartbeat();
  beat->set_memory_free_bytes(load.memory_free_bytes);
  beat->set_load(load.load);
  beat->set_not_ready(storage_.Trouble());
  FillRunning(supervisor_.Trainers(), beat->mutable_running());
  return message;
}

void Agent::OnMessage(const v1::WorkerCommand& command) {
  switch (command.command_case()) {
    case v1::WorkerCommand::kRegistered:
      OnRegistered(command.registered());
      return;
    case v1::WorkerCommand::kStart:
      OnStart(command.start());
      return;
    case v1::WorkerCommand::kStop:
      spdlog::info("trainer {} to stop: {}", command.stop().trainer_id(), command.stop().reason());
      supervisor_.StopTrainer(command.stop().trainer_id(),
                              std::chrono::seconds(command.stop().grace_seconds()));
      return;
    case v1::WorkerCommand::kExitAcknowledged:
      supervisor_.AcknowledgeExit(command.exit_acknowledged().trainer_id());
      return;
    case v1::WorkerCommand::kLogAcknowledged:
      logs_.Acknowledge(command.log_acknowledged().trainer_id(),
                        command.log_acknowledged().offset());
      return;
    case v1::WorkerCommand::COMMAND_NOT_SET:
      return;  // of a newer coordinator
  }
}

void Agent::OnRegistered(const v1::Registered& registered) {
  {
    MutexLock lock(&mutex_);
    if (cluster_id_.empty()) cluster_id_ = registered.cluster_id();
    if (!registered.cluster_id().empty() && registered.cluster_id() != cluster_id_) {
      // It knows none of the trainers, and has no business to end them.
      spdlog::error(
          "coordinator {} is now that of {}, not of {}, to which this worker belongs: is its "
          "storage mounted? Restart the worker if that is meant",
          config_.coordinator.address, registered.cluster_id(), cluster_id_);
      return;
    }
  }
  const uint32_t interval = registered.heartbeat_milliseconds() > 0
                                ? registered.heartbeat_milliseconds()
                                : registered.heartbeat_seconds() * 1000;  // of an older one
  heartbeat_milliseconds_ = std::clamp(interval, kHeartbeatMin, kHeartbeatMax);
  if (!registered.cluster_id_file().empty()) {
    storage_.Watch(registered.cluster_id_file(), registered.cluster_id());
  }
  registered_ = true;
  ever_registered_ = true;
  metrics_->SetConnected(true);
  spdlog::info("registered with coordinator {}", config_.coordinator.address);
  for (const std::string& id : registered.unknown_trainer_ids()) {
    spdlog::warn("trainer {} is unknown to the coordinator; killed", id);
    supervisor_.StopTrainer(id, std::chrono::milliseconds(0));
    supervisor_.AcknowledgeExit(id);
  }
}

void Agent::OnStart(const v1::StartTrainer& start) {
  TrainerIdentity identity{start.trainer_id(), start.job_id(), start.generation(), start.rank(),
                           start.slot()};
  SpawnRequest request;
  request.argv = {config_.trainer.string()};
  request.environment = TrainerEnvironment(
      config_, identity, start.token(),
      std::map<std::string, std::string>(start.environment().begin(), start.environment().end()),
      environ);
  supervisor_.StartTrainer(identity, std::move(request));
}

// Trainers go on while the worker asks again, in case the refusal is a mistake that is being
// mended.
std::optional<std::chrono::milliseconds> Agent::OnRefused(const std::string& why) {
  const std::string message =
      "coordinator " + config_.coordinator.address + " refused this worker: " + why;
  if (ever_registered_) {
    const auto wait = refused_backoff_.Next();
    spdlog::error("{}; it took it before, so trainers go on and it is asked again in {} s", message,
                  wait.count() / 1000);
    return wait;
  }
  MutexLock lock(&mutex_);
  why_ = message;
  welcome_ = false;
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> Agent::OnBroken(const Status& status, bool connected,
                                                         std::chrono::milliseconds away) {
  registered_ = false;
  metrics_->SetConnected(false);
  if (connected) metrics_->CountReconnect();
  const bool refused = status.code() == StatusCode::kUnauthenticated ||
                       status.code() == StatusCode::kPermissionDenied ||
                       status.code() == StatusCode::kInvalidArgument;
  if (refused) return OnRefused(status.message());
  if (connected || status.code() != last_trouble_) {
    spdlog::warn("no stream to coordinator {}: {}; trying again", config_.coordinator.address,
                 status.ToString());
  }
  last_trouble_ = status.code();
  return std::chrono::milliseconds(0);
}

}  // namespace attune::worker
