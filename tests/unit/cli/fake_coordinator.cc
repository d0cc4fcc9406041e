#include "tests/unit/cli/fake_coordinator.h"

#include <grpcpp/grpcpp.h>

#include "common/rpc/rpc.h"

namespace attune::cli {

struct FakeCoordinator::Seen {
  Mutex mutex;
  std::vector<v1::SubmitJobRequest> submits GUARDED_BY(mutex);
  std::vector<uint64_t> watch_starts GUARDED_BY(mutex);
  std::string uploaded GUARDED_BY(mutex);
  v1::ImportDatasetRequest::Header import_header GUARDED_BY(mutex);
  std::vector<std::string> cancelled GUARDED_BY(mutex);
  int sleeping GUARDED_BY(mutex) = 0;
  bool stopping GUARDED_BY(mutex) = false;
  v1::SetAliasRequest set_alias GUARDED_BY(mutex);
  v1::RollBackAliasRequest rolled_back GUARDED_BY(mutex);
  v1::PruneModelsRequest pruned GUARDED_BY(mutex);
  v1::ApplyScheduleRequest applied GUARDED_BY(mutex);
};

class FakeCoordinator::Jobs final : public v1::JobService::Service {
 public:
  explicit Jobs(FakeCoordinator* fake) : fake_(fake) {}

  grpc::Status SubmitJob(grpc::ServerContext*, const v1::SubmitJobRequest* request,
                         v1::Job* job) override {
    MutexLock lock(&fake_->seen_->mutex);
    fake_->seen_->submits.push_back(*request);
    if (!fake_->refuse.ok()) return fake_->refuse;
    if (static_cast<int>(fake_->seen_->submits.size()) <= fake_->unavailable_submits) {
      return {grpc::StatusCode::UNAVAILABLE, "away"};
    }
    *job = MakeJob("job-submitted000", v1::Job::QUEUED);
    job->set_kind(request->kind());
    *job->mutable_spec() = request->spec();
    if (!request->spec().name().empty()) job->set_name(request->spec().name());
    return grpc::Status::OK;
  }
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest* request,
                      v1::Job* job) override {
    return Find(request->id(), job);
  }
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override {
    // One job a page, so that paging is used.
    auto it = request->page_token().empty() ? fake_->jobs.begin()
                                            : fake_->jobs.find(request->page_token());
    if (it == fake_->jobs.end()) return grpc::Status::OK;
    *response->add_jobs() = it->second;
    if (++it != fake_->jobs.end()) response->set_next_page_token(it->first);
    return grpc::Status::OK;
  }
  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request,
                         v1::Job* job) override {
    MutexLock lock(&fake_->seen_->mutex);
    fake_->seen_->cancelled.push_back(request->id());
    *job = MakeJob(request->id(), v1::Job::CANCELLED);
    return grpc::Status::OK;
  }
  grpc::Status PauseJob(grpc::ServerContext*, const v1::PauseJobRequest*, v1::Job*) override {
    return rpc::ToGrpc(FailedPrecondition("job is FAILED: only a running job can be paused"));
  }
  grpc::Status GetLedger(grpc::ServerContext*, const v1::GetLedgerRequest* request,
                         v1::JobLedger* ledger) override {
    *ledger = fake_->ledger;
    ledger->clear_uses();
    const int place = request->page_token().empty() ? 0 : std::stoi(request->page_token());
    if (request->list() != v1::GetLedgerRequest::MISSING || place >= fake_->ledger.uses_size()) {
      return grpc::Status::OK;
    }
    *ledger->add_uses() = fake_->ledger.uses(place);
    ledger->set_next_page_token(std::to_string(place + 1));
    return grpc::Status::OK;
  }
  grpc::Status ExplainJob(grpc::ServerContext*, const v1::ExplainJobRequest* request,
                          v1::JobExplanation* explanation) override {
    explanation->set_job_id(request->id());
    explanation->set_state(v1::Job::QUEUED);
    explanation->set_summary("waits for 2 slots");
    explanation->add_reasons("needs 2 slots, 1 of 2 is free");
    explanation->add_unblocks("another worker joins");
    return grpc::Status::OK;
  }
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override {
    bool first;
    {
      MutexLock lock(&fake_->seen_->mutex);
      first = fake_->seen_->watch_starts.empty();
      fake_->seen_->watch_starts.push_back(request->after_sequence());
    }
    size_t sent = 0;
    bool final = false;
    for (const v1::JobEvent& event : fake_->events) {
      if (event.sequence() <= request->after_sequence()) continue;
      if (first && sent == fake_->break_watch_after)
        return {grpc::StatusCode::UNAVAILABLE, "restarting"};
      writer->Write(event);
      ++sent;
      final = event.job().state() >= v1::Job::SUCCEEDED;
    }
    return final ? grpc::Status::OK : GoOn(context);
  }
  grpc::Status ReadMetrics(grpc::ServerContext*, const v1::ReadMetricsRequest* request,
                           grpc::ServerWriter<v1::MetricPoint>* writer) override {
    for (const auto& point : fake_->metrics) {
      if (point.step() > request->after_step() || request->after_step() == 0) writer->Write(point);
    }
    return grpc::Status::OK;
  }
  grpc::Status ReadLogs(grpc::ServerContext*, const v1::ReadLogsRequest*,
                        grpc::ServerWriter<v1::LogChunk>* writer) override {
    for (const auto& chunk : fake_->logs) writer->Write(chunk);
    return grpc::Status::OK;
  }
  grpc::Status ReadOutput(grpc::ServerContext* context, const v1::ReadOutputRequest*,
                          grpc::ServerWriter<v1::OutputChunk>* writer) override {
    for (const v1::OutputChunk& chunk : fake_->output_chunks) writer->Write(chunk);
    const uint32_t generation = fake_->output_chunks.empty() ? 1 : 2;
    for (size_t i = 0; i < fake_->output.size(); i += 7) {
      v1::OutputChunk chunk;
      chunk.set_generation(generation);
      chunk.set_offset(i);
      chunk.set_data(fake_->output.substr(i, 7));
      writer->Write(chunk);
    }
    return fake_->output_goes_on ? GoOn(context) : grpc::Status::OK;
  }

 private:
  // As a job does that has not ended.
  grpc::Status GoOn(grpc::ServerContext* context) {
    MutexLock lock(&fake_->seen_->mutex);
    ++fake_->seen_->sleeping;
    while (!context->IsCancelled() && !fake_->seen_->stopping) {
      CondVar never;
      never.WaitUntil(&fake_->seen_->mutex,
                      std::chrono::steady_clock::now() + std::chrono::milliseconds(5));
    }
    return grpc::Status::CANCELLED;
  }
  grpc::Status Find(const std::string& id, v1::Job* job) {
    auto it = fake_->jobs.find(id);
    if (it == fake_->jobs.end()) return rpc::ToGrpc(NotFound("there is no job '" + id + "'"));
    *job = it->second;
    return grpc::Status::OK;
  }
  FakeCoordinator* const fake_;
};

class FakeCoordinator::Datasets final : public v1::DatasetService::Service {
 public:
  explicit Datasets(FakeCoordinator* fake) : fake_(fake) {}
  grpc::Status ImportDataset(grpc::ServerContext*,
                             grpc::ServerReader<v1::ImportDatasetRequest>* reader,
                             v1::DatasetVersion* version) override {
    v1::ImportDatasetRequest part;
    v1::ImportDatasetRequest::Header header;
    std::string data;
    bool ended = false;
    while (reader->Read(&part)) {
      if (part.has_header()) header = part.header();
      if (part.has_chunk()) data += part.chunk().data();
      if (part.has_end()) ended = part.end().bytes() == data.size();
    }
    if (!ended) return rpc::ToGrpc(InvalidArgument("cut off"));
    if (fake_->overtaken_imports-- > 0) return rpc::ToGrpc(Unavailable("docs@2 was made"));
    version->set_name(header.name());
    version->set_version(1);
    if (header.append()) version->set_appended_to(header.name() + "@0");
    (*version->mutable_examples())["train"] = 2;
    (*version->mutable_metadata_keys())["language"] = 1;
    if (header.allow_unlabelled()) version->set_unlabelled(3);
    (*version->mutable_ignored_keys())["source"] = 1;
    (*version->mutable_ignored_keys())["id"] = 300;
    MutexLock lock(&fake_->seen_->mutex);
    fake_->seen_->uploaded = data;
    fake_->seen_->import_header = header;
    return grpc::Status::OK;
  }
  grpc::Status GetDataset(grpc::ServerContext*, const v1::GetDatasetRequest* request,
                          v1::DatasetVersion*) override {
    return rpc::ToGrpc(NotFound("there is no data set '" + request->name() + "'"));
  }

 private:
  FakeCoordinator* const fake_;
};

class FakeCoordinator::Models final : public v1::ModelService::Service {
 public:
  explicit Models(FakeCoordinator* fake) : fake_(fake) {}
  grpc::Status GetGateReport(grpc::ServerContext*, const v1::GetGateReportRequest* request,
                             v1::GateReport* report) override {
    auto found = fake_->gate_reports.find(request->model());
    if (found == fake_->gate_reports.end()) {
      return rpc::ToGrpc(NotFound("no gates have judged " + request->model()));
    }
    *report = found->second;
    return grpc::Status::OK;
  }
  grpc::Status ReadGateFacts(grpc::ServerContext*, const v1::GetGateReportRequest*,
                             grpc::ServerWriter<v1::GateFactsChunk>* writer) override {
    for (size_t at = 0; at < fake_->gate_facts.size(); at += 1000) {
      v1::GateFactsChunk chunk;
      chunk.set_data(fake_->gate_facts.substr(at, 1000));
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }
  grpc::Status ImportModelWithProgress(
      grpc::ServerContext*, const v1::ImportModelRequest* request,
      grpc::ServerWriter<v1::ImportModelProgress>* writer) override {
    v1::ImportModelProgress progress;
    progress.set_phase("copying");
    progress.set_done(1000);
    progress.set_total(4000);
    writer->Write(progress);
    v1::ImportModelProgress last;
    v1::ModelVersion* model = last.mutable_version();
    model->set_name(request->name());
    model->set_version(3);
    model->mutable_lineage()->set_source(request->path());
    writer->Write(last);
    return grpc::Status::OK;
  }
  grpc::Status GetModel(grpc::ServerContext*, const v1::GetModelRequest* request,
                        v1::ModelVersion* version) override {
    auto found = fake_->models.find(request->name());
    if (found == fake_->models.end())
      return rpc::ToGrpc(NotFound("there is no model '" + request->name() + "'"));
    *version = found->second;
    return grpc::Status::OK;
  }
  grpc::Status SetAlias(grpc::ServerContext*, const v1::SetAliasRequest* request,
                        v1::Alias* alias) override {
    MutexLock lock(&fake_->seen_->mutex);
    fake_->seen_->set_alias = *request;
    return Move(request->model().substr(0, request->model().find('@')), request->alias(), "set",
                request->reason(), alias);
  }
  grpc::Status RollBackAlias(grpc::ServerContext*, const v1::RollBackAliasRequest* request,
                             v1::Alias* alias) override {
    MutexLock lock(&fake_->seen_->mutex);
    fake_->seen_->rolled_back = *request;
    return Move(request->model(), request->alias(), "rollback", request->reason(), alias);
  }
  grpc::Status DeleteAlias(grpc::ServerContext*, const v1::DeleteAliasRequest*,
                           v1::DeleteAliasResponse*) override {
    return fake_->refuse_alias;
  }
  grpc::Status ListAliases(grpc::ServerContext*, const v1::ListAliasesRequest* request,
                           v1::ListAliasesResponse* response) override {
    if (fake_->moves.empty()) return grpc::Status::OK;
    v1::Alias* alias = response->add_aliases();
    alias->set_model(fake_->moves[0].model());
    alias->set_alias(fake_->moves[0].alias());
    alias->set_version(fake_->moves[0].to_version());
    *alias->mutable_last() = fake_->moves[0];
    alias->set_before(fake_->alias_before);
    return grpc::Status::OK;
  }
  // Two a page, so that paging is used.
  grpc::Status ListAliasMoves(grpc::ServerContext*, const v1::ListAliasMovesRequest* request,
                              v1::ListAliasMovesResponse* response) override {
    for (const v1::AliasMove& move : fake_->moves) {
      if (request->before() != 0 && move.sequence() >= request->before()) continue;
      if (response->moves_size() == 2) response->set_more(true);
      if (response->moves_size() < 2) *response->add_moves() = move;
    }
    return grpc::Status::OK;
  }
  grpc::Status PruneModels(grpc::ServerContext*, const v1::PruneModelsRequest* request,
                           v1::PruneModelsResponse* response) override {
    MutexLock lock(&fake_->seen_->mutex);
    fake_->seen_->pruned = *request;
    auto* kept = response->add_items();
    kept->set_model("docs@3");
    kept->set_bytes(1 << 20);
    kept->set_kept_for("the newest");
    auto* gone = response->add_items();
    gone->set_model("docs@2");
    gone->set_bytes(2 << 20);
    response->set_bytes_freed(2 << 20);
    return fake_->refuse_alias;
  }
  grpc::Status GetModelCard(grpc::ServerContext*, const v1::GetModelCardRequest* request,
                            v1::ModelCard* card) override {
    card->set_markdown("# " + request->model() + "\n");
    return grpc::Status::OK;
  }

 private:
  grpc::Status Move(const std::string& model, const std::string& name, const std::string& kind,
                    const std::string& reason, v1::Alias* alias) {
    alias->set_model(model);
    alias->set_alias(name);
    alias->set_version(3);
    alias->mutable_last()->set_from_version(2);
    alias->mutable_last()->set_kind(kind);
    alias->mutable_last()->set_actor("user:alice");
    alias->mutable_last()->set_reason(reason);
    return fake_->refuse_alias;
  }
  FakeCoordinator* const fake_;
};

class FakeCoordinator::Nodes final : public v1::NodeService::Service {
 public:
  grpc::Status ListNodes(grpc::ServerContext*, const v1::ListNodesRequest*,
                         v1::ListNodesResponse* response) override {
    v1::Node* node = response->add_nodes();
    node->set_name("worker-1");
    node->set_state(v1::Node::READY);
    node->set_slots(1);
    return grpc::Status::OK;
  }
};

class FakeCoordinator::Schedules final : public v1::ScheduleService::Service {
 public:
  explicit Schedules(FakeCoordinator* fake) : fake_(fake) {}
  grpc::Status ApplySchedule(grpc::ServerContext*, const v1::ApplyScheduleRequest* request,
                             v1::Schedule* response) override {
    MutexLock lock(&fake_->seen_->mutex);
    fake_->seen_->applied = *request;
    *response->mutable_spec() = request->spec();
    return fake_->refuse_schedule;
  }
  grpc::Status TriggerSchedule(grpc::ServerContext*, const v1::TriggerScheduleRequest*,
                               v1::Update* response) override {
    *response = fake_->update;
    return grpc::Status::OK;
  }
  grpc::Status GetUpdate(grpc::ServerContext*, const v1::GetUpdateRequest*,
                         v1::Update* response) override {
    *response = fake_->update;
    return grpc::Status::OK;
  }

 private:
  FakeCoordinator* const fake_;
};

FakeCoordinator::FakeCoordinator() : seen_(std::make_unique<Seen>()) {
  services_.push_back(std::make_unique<Jobs>(this));
  services_.push_back(std::make_unique<Datasets>(this));
  services_.push_back(std::make_unique<Models>(this));
  services_.push_back(std::make_unique<Nodes>());
  services_.push_back(std::make_unique<Schedules>(this));
  Start();
}

void FakeCoordinator::Start() {
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port_), grpc::InsecureServerCredentials(),
                           &bound);
  for (auto& service : services_) builder.RegisterService(service.get());
  server_ = builder.BuildAndStart();
  port_ = bound;
  address_ = "127.0.0.1:" + std::to_string(port_);
}

void FakeCoordinator::Stop() {
  {
    MutexLock lock(&seen_->mutex);
    seen_->stopping = true;
  }
  if (server_) server_->Shutdown(std::chrono::system_clock::now());
  server_.reset();
}

void FakeCoordinator::Restart() {
  Stop();
  {
    MutexLock lock(&seen_->mutex);
    seen_->stopping = false;
  }
  Start();
}

FakeCoordinator::~FakeCoordinator() {
  Stop();
}

std::vector<v1::SubmitJobRequest> FakeCoordinator::submits() const {
  MutexLock lock(&seen_->mutex);
  return seen_->submits;
}
std::vector<uint64_t> FakeCoordinator::watch_starts() const {
  MutexLock lock(&seen_->mutex);
  return seen_->watch_starts;
}
v1::ImportDatasetRequest::Header FakeCoordinator::import_header() const {
  MutexLock lock(&seen_->mutex);
  return seen_->import_header;
}

std::string FakeCoordinator::uploaded() const {
  MutexLock lock(&seen_->mutex);
  return seen_->uploaded;
}
std::vector<std::string> FakeCoordinator::cancelled() const {
  MutexLock lock(&seen_->mutex);
  return seen_->cancelled;
}
v1::SetAliasRequest FakeCoordinator::set_alias() const {
  MutexLock lock(&seen_->mutex);
  return seen_->set_alias;
}
v1::RollBackAliasRequest FakeCoordinator::rolled_back() const {
  MutexLock lock(&seen_->mutex);
  return seen_->rolled_back;
}
v1::PruneModelsRequest FakeCoordinator::pruned() const {
  MutexLock lock(&seen_->mutex);
  return seen_->pruned;
}
v1::ApplyScheduleRequest FakeCoordinator::applied() const {
  MutexLock lock(&seen_->mutex);
  return seen_->applied;
}
int FakeCoordinator::sleeping_watches() const {
  MutexLock lock(&seen_->mutex);
  return seen_->sleeping;
}

v1::Job MakeJob(const std::string& id, v1::Job::State state) {
  v1::Job job;
  job.set_id(id);
  job.set_name("docs");
  job.set_kind(v1::Job::TRAIN);
  job.set_state(state);
  job.set_total_steps(40);
  job.set_step(20);
  job.set_ranks(2);
  (*job.mutable_metrics())["loss"] = 2.25;
  (*job.mutable_metrics())["tokens_per_second"] = 1234;
  job.mutable_created()->set_seconds(1700000000);
  return job;
}

v1::JobEvent MakeEvent(uint64_t sequence, const std::string& type, const std::string& message,
                       const v1::Job& job) {
  v1::JobEvent event;
  event.set_sequence(sequence);
  event.set_type(type);
  event.set_message(message);
  *event.mutable_job() = job;
  event.mutable_job()->set_sequence(sequence);
  event.mutable_time()->set_seconds(1700000000 + static_cast<int64_t>(sequence));
  return event;
}

}  // namespace attune::cli
