#include "coordinator/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <utility>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/mutex.h"
#include "common/base/version.h"
#include "common/gates/gates.h"
#include "common/log/log.h"
#include "common/rpc/certificates.h"
#include "common/rpc/rpc.h"
#include "coordinator/api/cluster_service.h"
#include "coordinator/api/dataset_service.h"
#include "coordinator/api/drift_service.h"
#include "coordinator/api/job_service.h"
#include "coordinator/api/model_service.h"
#include "coordinator/api/schedule_service.h"
#include "coordinator/api/trainer_service.h"
#include "coordinator/api/worker_service.h"
#include "coordinator/dataset_users.h"
#include "coordinator/drift/monitor.h"
#include "coordinator/drift/schema.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/runner.h"
#include "coordinator/jobs/schema.h"
#include "coordinator/jobs/state_machine.h"
#include "coordinator/metrics/metrics.h"
#include "coordinator/models/schema.h"
#include "coordinator/retraining/adapters.h"
#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/repository.h"
#include "coordinator/retraining/schema.h"
#include "coordinator/security/bind_policy.h"
#include "coordinator/snapshot.h"
#include "coordinator/state_folder.h"
#include "coordinator/store/events.h"
#include "coordinator/test_clock.h"
#include "coordinator/test_death.h"
#include "coordinator/versions/table.h"

namespace attune {
namespace {

constexpr int kThreadsMax = 96;
constexpr size_t kMemoryMax = 1ull << 30;
constexpr std::chrono::seconds kShutdownTime{2};

// Feeds the controller's facts to /metrics.
class MetricsTelemetry final : public jobs::Telemetry {
 public:
  explicit MetricsTelemetry(metrics::Metrics* metrics) : metrics_(metrics) {}
  void OnJobPlaced(double queue_wait_seconds) override {
    metrics_->OnJobPlaced(queue_wait_seconds);
  }
  void OnStepApplied(const v1::MetricPoint& point) override {
    metrics::StepSample sample;
    sample.tokens = point.tokens();
    if (point.has_seconds_data()) sample.data = point.seconds_data();
    if (point.has_seconds_forward()) sample.forward = point.seconds_forward();
    if (point.has_seconds_backward()) sample.backward = point.seconds_backward();
    if (point.has_seconds_sync()) sample.sync = point.seconds_sync();
    if (point.has_seconds_optimizer()) sample.optimizer = point.seconds_optimizer();
    metrics_->OnStepApplied(sample);
  }
  void OnStall() override { metrics_->OnStall(); }
  void OnJobEnded(const v1::Job& job) override {
    metrics_->OnJobEnded(v1::Job::Kind_Name(job.kind()), jobs::StateName(job.state()));
  }
  void OnWrite(const Status& status) {
    if (status.code() == StatusCode::kDataLoss) {
      // Nothing that is tried again mends it, and what is read from it is not to be trusted.
      spdlog::critical("the coordinator ends: {}", status.message());
      spdlog::shutdown();
      _exit(1);
    }
    if (!status.ok()) metrics_->OnCommitFailed();
    if (status.ok() != written_.exchange(status.ok())) ReportHealth();
  }
  // The health service of the running server; null before and after.
  void SetHealth(grpc::HealthCheckServiceInterface* health) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    health_ = health;
  }
  void OnAttemptLost(std::string_view cause) override { metrics_->OnAttemptLost(cause); }
  void OnLate(double seconds) override { metrics_->OnLate(seconds); }

 private:
  void ReportHealth() EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    if (health_ != nullptr) health_->SetServingStatus(written_);
  }

  metrics::Metrics* const metrics_;
  std::atomic<bool> written_{true};  // what was last to be written
  Mutex mutex_;
  grpc::HealthCheckServiceInterface* health_ GUARDED_BY(mutex_) = nullptr;
};

// What retraining sees of streams.
class MonitoredStreams final : public retraining::LiveData {
 public:
  MonitoredStreams(drift::Monitor* monitor, Database* database)
      : monitor_(monitor), database_(database) {}
  Result<v1::Stream> Get(const std::string& stream) override { return monitor_->Get(stream); }
  Result<int64_t> Revision(const std::string& stream) override {
    int64_t sequence = 0;
    ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
      sequence = LastEvent(transaction, "stream", stream, "observed");
      return Status();
    }));
    return sequence;
  }
  Result<std::vector<v1::Window>> Windows(const std::string& stream, uint64_t after,
                                          uint32_t limit) override {
    return monitor_->Windows(stream, after, limit);
  }
  Result<v1::Stream> CloseWindow(const std::string& request_id,
                                 const std::string& stream) override {
    return monitor_->CloseWindow(request_id, stream);
  }

 private:
  drift::Monitor* const monitor_;
  Database* const database_;
};

Result<std::shared_ptr<grpc::ServerCredentials>> MakeCredentials(const CoordinatorConfig& config) {
  if (config.tls_cert.empty()) return grpc::InsecureServerCredentials();
  return rpc::ServerCredentials({config.tls_ca, config.tls_cert, config.tls_key});
}

struct Tokens {
  std::vector<security::User> users;
  std::string worker;
};

Result<Tokens> ReadTokens(const CoordinatorConfig& config) {
  Tokens tokens;
  std::string shared;
  if (!config.token_file.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(shared, security::ReadTokenFile(config.token_file));
  }
  std::vector<security::User> named;
  for (const CoordinatorConfig::User& user : config.users) {
    ATTUNE_ASSIGN_OR_RETURN(std::string token, security::ReadTokenFile(user.token_file));
    named.push_back({user.name, token, {user.roles.begin(), user.roles.end()}});
  }
  ATTUNE_ASSIGN_OR_RETURN(tokens.users, security::MakeUsers(shared, std::move(named)));
  tokens.worker = shared;
  if (!config.worker_token_file.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(tokens.worker, security::ReadTokenFile(config.worker_token_file));
  }
  return tokens;
}

Status CheckExposure(const CoordinatorConfig& config) {
  ATTUNE_RETURN_IF_ERROR(
      security::CheckBind({config.listen, !config.tls_cert.empty(),
                           !config.token_file.empty() || !config.users.empty()}));
  if (config.metrics_listen.empty() || rpc::IsLoopback(config.metrics_listen) ||
      config.metrics_public) {
    return Status();
  }
  return FailedPrecondition("metrics_listen: " + config.metrics_listen +
                            " is reachable from other machines, in clear text: set "
                            "metrics_public: true if that is meant, or listen on 127.0.0.1");
}

Result<uint64_t> FreeBytesOf(const std::filesystem::path& folder) {
  std::filesystem::path existing = folder;
  std::error_code error;
  while (!std::filesystem::exists(existing, error) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  auto space = std::filesystem::space(existing, error);
  if (error) return ErrnoStatus(error.value(), existing.string());
  return static_cast<uint64_t>(space.available);
}

void SetLimits(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(rpc::kMaxMessageBytes);
  builder->SetMaxSendMessageSize(rpc::kMaxMessageBytes);
  builder->SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder->SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 4);
  grpc::ResourceQuota quota("coordinator");
  quota.SetMaxThreads(kThreadsMax);
  quota.Resize(kMemoryMax);
  builder->SetResourceQuota(quota);
  // Two coordinators must not share a port by accident.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 << 10);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
}

}  // namespace

// In the order of construction; destroyed the other way round.
struct CoordinatorServer::Parts {
  CoordinatorConfig config;
  const std::unique_ptr<Clock> test_clock = TestClock();
  // Of the store and of what happens in days and weeks; jobs and their deadlines have the
  // machine's.
  Clock* const wall_clock = test_clock != nullptr ? test_clock.get() : SystemClock();
  std::optional<StateFolder> state;
  std::unique_ptr<Database> database;
  std::unique_ptr<datasets::Catalog> catalog;
  std::unique_ptr<models::Registry> registry;
  std::unique_ptr<jobs::StoredArtifacts> artifacts;
  std::unique_ptr<metrics::Metrics> metrics;
  std::unique_ptr<MetricsTelemetry> telemetry;
  rendezvous::KeyValueStore rendezvous{SystemClock()};
  security::RunTokens run_tokens;
  std::unique_ptr<Authenticator> authenticator;
  std::unique_ptr<LogStore> logs;
  WorkerStreams worker_streams;
  TrainerStreams trainer_streams;
  launching::WorkerLauncher launcher{&worker_streams};
  jobs::ControlLoop loop;
  std::unique_ptr<jobs::Controller> controller;
  StreamPump pump;
  std::unique_ptr<jobs::LocalJobRunner> runner;
  std::unique_ptr<drift::ObservationStore> observations;
  std::unique_ptr<drift::Monitor> monitor;
  std::unique_ptr<MonitoredStreams> streams;
  std::unique_ptr<retraining::CatalogDatasets> retraining_datasets;
  std::unique_ptr<retraining::RegistryModels> retraining_models;
  std::unique_ptr<retraining::Controller> retraining;
  ClusterPorts cluster;
  std::unique_ptr<JobService> job_service;
  std::unique_ptr<DatasetService> dataset_service;
  std::unique_ptr<ModelService> model_service;
  std::unique_ptr<ScheduleService> schedule_service;
  std::unique_ptr<NodeService> node_service;
  std::unique_ptr<ClusterService> cluster_service;
  std::unique_ptr<DriftService> drift_service;
  std::unique_ptr<WorkerService> worker_service;
  std::unique_ptr<TrainerService> trainer_service;
  std::unique_ptr<grpc::Server> server;
  std::string address, metrics_address;

  Status OpenState();
  Status MakeController();
  Status MakeMonitor();
  void MakeRetraining();
  Status StartMetrics();
  void MakeServices();
  Status Serve();
};

Status CoordinatorServer::Parts::OpenState() {
  ATTUNE_ASSIGN_OR_RETURN(StateFolder folder, StateFolder::Open(config.storage, config.init));
  state.emplace(std::move(folder));
  std::vector<Migration> migrations = jobs::Migrations();
  for (const auto& more : {versions::Migrations(), models::Migrations(), drift::Migrations(),
                           retraining::Migrations()}) {
    migrations.insert(migrations.end(), more.begin(), more.end());
  }
  ATTUNE_ASSIGN_OR_RETURN(database,
                          Database::Open(state->path() / "attune.db", migrations, wall_clock));
  if (Database::Observer death = TestDeath()) database->AddObserver(std::move(death));
  catalog = std::make_unique<datasets::Catalog>(database.get(), config.storage, DatasetUsers());
  registry = std::make_unique<models::Registry>(
      database.get(), config.storage,
      std::vector<models::Registry::InUse>{jobs::ModelsInUse, retraining::ModelsInUse});
  ATTUNE_RETURN_IF_ERROR(catalog->Reconcile());
  return registry->Reconcile();
}

Status CoordinatorServer::Parts::MakeController() {
  artifacts = std::make_unique<jobs::StoredArtifacts>(catalog.get(), registry.get());
  metrics = std::make_unique<metrics::Metrics>(kVersion, [this] {
    return TakeSnapshot(database.get(), &loop, monitor.get(), retraining.get(), SystemClock(),
                        config.storage, config.tls_cert);
  });
  telemetry = std::make_unique<MetricsTelemetry>(metrics.get());
  jobs::ControllerOptions options;
  options.storage = config.storage;
  options.cluster_id = state->cluster_id();
  options.liveness = {config.heartbeat_interval, config.lost_after};
  options.attach_timeout = config.attach_timeout;
  options.reattach_timeout = config.reattach_timeout;
  options.progress_timeout = config.progress_timeout;
  options.forget_lost_after = config.forget_lost_after;
  options.keep_checkpoints = config.keep_checkpoints;
  options.missing_timeout = config.lost_after;
  options.pause_timeout = config.pause_timeout;
  options.pause_limit = config.pause_limit;
  options.seed = static_cast<uint64_t>(ToMicros(SystemClock()->Now()));
  jobs::ControllerPorts ports;
  ports.database = database.get();
  ports.clock = SystemClock();
  ports.artifacts = artifacts.get();
  ports.launcher = &launcher;
  ports.workers = &worker_streams;
  ports.trainers = &trainer_streams;
  ports.background = &loop;
  ports.telemetry = telemetry.get();
  ports.rendezvous = &rendezvous;
  ports.tokens = &run_tokens;
  ports.free_bytes = FreeBytesOf;
  controller = std::make_unique<jobs::Controller>(options, ports);
  return controller->Recover();
}

Status CoordinatorServer::Parts::MakeMonitor() {
  runner = std::make_unique<jobs::LocalJobRunner>(&loop, database.get(), config.storage);
  observations = std::make_unique<drift::ObservationStore>(database.get(), config.storage);
  drift::MonitorPorts ports;
  ports.database = database.get();
  ports.clock = wall_clock;
  ports.catalog = catalog.get();
  ports.runner = runner.get();
  ports.observations = observations.get();
  ports.find_model = [this](const std::string& reference) { return registry->Get(reference); };
  ports.storage = config.storage;
  ports.on_window = [this](const std::string& state) { metrics->OnWindow(state); };
  monitor = std::make_unique<drift::Monitor>(ports);
  streams = std::make_unique<MonitoredStreams>(monitor.get(), database.get());
  return observations->Reconcile();
}

void CoordinatorServer::Parts::MakeRetraining() {
  retraining_datasets = std::make_unique<retraining::CatalogDatasets>(catalog.get());
  retraining_models = std::make_unique<retraining::RegistryModels>(registry.get());
  retraining::Ports ports;
  ports.database = database.get();
  ports.clock = wall_clock;
  ports.jobs = runner.get();
  ports.datasets = retraining_datasets.get();
  ports.models = retraining_models.get();
  ports.live = streams.get();
  ports.decide = gates::Decide;
  ports.storage = config.storage;
  retraining = std::make_unique<retraining::Controller>(ports);
}

Status CoordinatorServer::Parts::StartMetrics() {
  if (config.metrics_listen.empty()) return Status();
  ATTUNE_RETURN_IF_ERROR(metrics->Start(config.metrics_listen));
  metrics_address = metrics->address();
  return Status();
}

void CoordinatorServer::Parts::MakeServices() {
  logs = std::make_unique<LogStore>(config.storage);
  cluster = {&loop,    database.get(),  authenticator.get(), config.storage,
             kVersion, metrics_address, SystemClock()->Now()};
  job_service = std::make_unique<JobService>(JobServicePorts{
      &loop, database.get(), &pump, logs.get(), authenticator.get(), config.storage});
  dataset_service = std::make_unique<DatasetService>(catalog.get(), authenticator.get());
  model_service = std::make_unique<ModelService>(
      ModelServicePorts{registry.get(), database.get(), authenticator.get(), config.storage,
                        [this](const std::string& dataset) { return catalog->Get(dataset); }});
  schedule_service = std::make_unique<ScheduleService>(retraining.get(), authenticator.get());
  node_service = std::make_unique<NodeService>(&cluster);
  cluster_service = std::make_unique<ClusterService>(&cluster);
  drift_service =
      std::make_unique<DriftService>(monitor.get(), observations.get(), authenticator.get());
  worker_service =
      std::make_unique<WorkerService>(&loop, &worker_streams, logs.get(), authenticator.get());
  trainer_service =
      std::make_unique<TrainerService>(&loop, &trainer_streams, &rendezvous, authenticator.get());
  database->SetWriteObserver([this](const Status& status) { telemetry->OnWrite(status); });
  database->AddObserver([this](const std::vector<Event>&) { pump.Wake(); });
}

Status CoordinatorServer::Parts::Serve() {
  ATTUNE_ASSIGN_OR_RETURN(auto credentials, MakeCredentials(config));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(&builder);
  int port = 0;
  builder.AddListeningPort(config.listen, credentials, &port);
  builder.RegisterService(job_service.get());
  builder.RegisterService(dataset_service.get());
  builder.RegisterService(model_service.get());
  builder.RegisterService(schedule_service.get());
  builder.RegisterService(node_service.get());
  builder.RegisterService(cluster_service.get());
  builder.RegisterService(drift_service.get());
  builder.RegisterService(worker_service.get());
  builder.RegisterService(trainer_service.get());
  server = builder.BuildAndStart();
  if (server == nullptr || port == 0) {
    return Unavailable("cannot listen on " + config.listen +
                       ": the port is taken or the address is not of this machine; stop what "
                       "listens there or choose another port with `listen`");
  }
  telemetry->SetHealth(server->GetHealthCheckService());
  address = config.listen.substr(0, config.listen.rfind(':')) + ":" + std::to_string(port);
  return Status();
}

Result<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    const CoordinatorConfig& config) {
  ATTUNE_RETURN_IF_ERROR(CheckExposure(config));
  ATTUNE_ASSIGN_OR_RETURN(Tokens tokens, ReadTokens(config));
  std::unique_ptr<CoordinatorServer> coordinator(new CoordinatorServer(std::make_unique<Parts>()));
  Parts& parts = *coordinator->parts_;
  parts.config = config;
  parts.authenticator =
      std::make_unique<Authenticator>(tokens.users, tokens.worker, &parts.run_tokens);
  ATTUNE_RETURN_IF_ERROR(parts.OpenState());
  ATTUNE_RETURN_IF_ERROR(parts.MakeController());
  ATTUNE_RETURN_IF_ERROR(parts.MakeMonitor());
  parts.MakeRetraining();
  ATTUNE_RETURN_IF_ERROR(parts.StartMetrics());
  parts.MakeServices();
  parts.loop.Start(parts.controller.get());
  parts.monitor->Start();
  parts.retraining->Start();
  parts.pump.Start();
  ATTUNE_RETURN_IF_ERROR(parts.Serve());
  ATTUNE_RETURN_IF_ERROR(parts.state->Announce(parts.address, parts.metrics_address));
  return coordinator;
}

CoordinatorServer::CoordinatorServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

CoordinatorServer::~CoordinatorServer() {
  Parts& parts = *parts_;
  if (parts.server != nullptr) {
    const grpc::Status leaving(grpc::StatusCode::UNAVAILABLE, "the coordinator shuts down");
    parts.telemetry->SetHealth(nullptr);
    parts.pump.Shutdown();
    parts.dataset_service->Shutdown();
    parts.worker_streams.hub().CloseAll(leaving);
    parts.trainer_streams.hub().CloseAll(leaving);
    parts.server->Shutdown(std::chrono::system_clock::now() + kShutdownTime);
    parts.server->Wait();
    parts.state->Withdraw();
  }
  if (parts.metrics != nullptr) parts.metrics->Shutdown();
  if (parts.retraining != nullptr) parts.retraining->Shutdown();
  if (parts.monitor != nullptr) parts.monitor->Shutdown();
  parts.loop.Shutdown();
}

const std::string& CoordinatorServer::address() const {
  return parts_->address;
}
const std::string& CoordinatorServer::metrics_address() const {
  return parts_->metrics_address;
}

}  // namespace attune
