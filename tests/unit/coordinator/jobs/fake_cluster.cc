#include "tests/unit/coordinator/jobs/fake_cluster.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "common/base/files.h"
#include "common/log/log.h"
#include "common/spec/job_spec.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/store/events.h"

namespace attune::jobs {
namespace {

uint32_t NewestCheckpoint(const v1::TrainerTask& task) {
  uint32_t newest = 0;
  std::error_code error;
  const auto folder = std::filesystem::path(task.run_directory()) / "checkpoints";
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    newest = std::max(newest, static_cast<uint32_t>(std::stoul(name.substr(name.rfind('-') + 1))));
  }
  return task.has_train() ? newest : 0;
}

}  // namespace

FakeCluster::FakeCluster() {
  spdlog::set_level(spdlog::level::warn);
  // Thousands of synced commits: in memory where there is such a file system.
  std::error_code error;
  std::filesystem::path root = "/dev/shm";
  if (!std::filesystem::is_directory(root, error)) root = std::filesystem::temp_directory_path();
  folder_ = root / ("attune-cluster-" + std::to_string(getpid()));
  std::filesystem::remove_all(folder_);
  std::filesystem::create_directories(folder_);
  StartController();
}

FakeCluster::~FakeCluster() {
  controller_.reset();
  database_.reset();
  std::filesystem::remove_all(folder_);
}

void FakeCluster::StartController() {
  std::vector<Migration> migrations = Migrations();
  migrations.push_back({"fake", 1, {"CREATE TABLE fake_models (job_id TEXT PRIMARY KEY)"}});
  auto database = Database::Open(folder_ / "attune.db", migrations, &clock_);
  ASSERT_TRUE(database.ok()) << database.status().ToString();
  database_ = std::move(*database);
  database_->AddObserver([this](const std::vector<Event>&) {
    if (commits_left > 0) --commits_left;
    clock_.Advance(std::exchange(next_commit_takes, Duration()));
  });
  store_ = std::make_unique<rendezvous::KeyValueStore>(&clock_);
  ControllerOptions options;
  options.storage = folder_;
  options.progress_timeout = std::chrono::minutes(5);
  options.forget_lost_after = std::chrono::minutes(10);
  ControllerPorts ports;
  ports.database = database_.get();
  ports.clock = &clock_;
  ports.artifacts = this;
  ports.launcher = this;
  ports.workers = this;
  ports.trainers = &link_;
  ports.background = this;
  ports.telemetry = this;
  ports.rendezvous = store_.get();
  ports.tokens = &tokens_;
  ports.free_bytes = [this](const std::filesystem::path& folder) -> Result<uint64_t> {
    free_bytes_asked_of = folder;
    return free_bytes;
  };
  controller_ = std::make_unique<Controller>(options, ports);
  Status recovered = controller_->Recover();
  ASSERT_TRUE(recovered.ok()) << recovered.ToString();
}

void FakeCluster::StopController() {
  commits_left = -1;
  controller_.reset();
  database_.reset();
  later_.clear();
  for (auto& [name, worker] : workers_) worker.registered = false;
  for (auto& [id, trainer] : trainers_) {
    trainer.attached = trainer.hello_sent = false;
    trainer.sent = 0;
  }
}

v1::Job FakeCluster::Job(const std::string& id) {
  v1::Job job;
  Status status = database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(job, FindJob(transaction, id));
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return job;
}

std::vector<Event> FakeCluster::Events(const std::string& kind, const std::string& id) {
  std::vector<Event> events;
  Status status = database_->Read([&](Transaction& transaction) {
    events = ReadEvents(transaction, kind, id, 0, 10'000);
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return events;
}

std::vector<std::string> FakeCluster::EventTypes(const std::string& id, const std::string& kind) {
  std::vector<std::string> types;
  for (const Event& event : Events(kind, id)) {
    if (types.empty() || types.back() != event.type) types.push_back(event.type);
  }
  return types;
}

int FakeCluster::CountEvents(const std::string& id, const std::string& type) {
  const std::vector<Event> events = Events("job", id);
  return static_cast<int>(std::count_if(events.begin(), events.end(),
                                        [&](const Event& event) { return event.type == type; }));
}

std::string FakeCluster::Output(const std::string& id) {
  auto content = ReadFile(OutputFile(id));
  return content.ok() ? *content : content.status().ToString();
}

void FakeCluster::Execute(const std::string& statement) {
  Status status = database_->Write([&](Transaction& transaction) {
    transaction.session() << statement;
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
}

bool FakeCluster::HasCheckpoints(const std::string& id) const {
  return std::filesystem::exists(folder_ / "runs" / id / "checkpoints");
}

std::filesystem::path FakeCluster::OutputFile(const std::string& id) {
  return folder_ / "runs" / id / "output.jsonl";
}

v1::SubmitJobRequest FakeCluster::TrainRequest(uint32_t ranks_min, uint32_t ranks_max,
                                               uint32_t steps) {
  auto spec = spec::ParseJobSpec(
      "name: tune\nbase: tiny\ndataset: docs\nmethod: {type: lora}\n"
      "ranks: {min: " +
          std::to_string(ranks_min) + ", max: " + std::to_string(ranks_max) +
          "}\ntrain: {global_batch: 8, max_steps: " + std::to_string(steps) + "}\n",
      "test.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status().ToString();
  v1::SubmitJobRequest request;
  if (spec.ok()) *request.mutable_spec() = *spec;
  return request;
}

std::string FakeCluster::Submit(uint32_t ranks, uint32_t steps) {
  auto job = controller_->Submit(TrainRequest(ranks, ranks, steps));
  EXPECT_TRUE(job.ok()) << job.status().ToString();
  return job.ok() ? job->id() : "";
}

v1::Job FakeCluster::SubmitGenerate() {
  v1::SubmitJobRequest request;
  request.set_kind(v1::Job::GENERATE);
  auto* generate = request.mutable_task()->mutable_generate();
  generate->set_model("tiny");
  generate->set_max_tokens(5);
  generate->add_prompts("one");
  generate->add_prompts("two");
  auto job = controller_->Submit(request);
  EXPECT_TRUE(job.ok()) << job.status().ToString();
  return job.ok() ? *job : v1::Job();
}

void FakeCluster::AddWorker(const std::string& name, uint32_t slots, uint64_t memory_bytes) {
  workers_[name].slots = slots;
  workers_[name].memory_bytes = memory_bytes;
}

void FakeCluster::KillWorker(const std::string& name) {
  workers_.erase(name);
  std::erase_if(trainers_, [&](const auto& entry) { return entry.second.node == name; });
}

void FakeCluster::KillTrainer(const std::string& id, int signal) {
  End(id, true, signal);
}

void FakeCluster::ExitTrainer(const std::string& id, int code) {
  End(id, false, code);
}

void FakeCluster::FailTask(const std::string& id, v1::TaskFailed::Kind kind,
                           const std::string& message) {
  FakeTrainer& trainer = trainers_.at(id);
  v1::TrainerMessage report;
  report.mutable_failed()->set_task_id(trainer.last_task_id);
  report.mutable_failed()->set_kind(kind);
  report.mutable_failed()->set_message(message);
  trainer.task.reset();
  Report(trainer, std::move(report));
}

FakeCluster::FakeTrainer* FakeCluster::Trainer(const std::string& id) {
  auto found = trainers_.find(id);
  return found == trainers_.end() ? nullptr : &found->second;
}

void FakeCluster::ForgetAcknowledgements(const std::string& id) {
  FakeTrainer& trainer = trainers_.at(id);
  trainer.kept.insert(trainer.kept.begin(), trainer.acknowledged.begin(),
                      trainer.acknowledged.end());
}

void FakeCluster::End(const std::string& id, bool signaled, int code) {
  auto found = trainers_.find(id);
  if (found == trainers_.end()) return;
  v1::TrainerExited exited;
  exited.set_trainer_id(id);
  exited.set_signaled(signaled);
  exited.set_code(code);
  exited.set_memory_peak_bytes(memory_peak_bytes);
  exited.add_log_tail(last_words + " of " + id);
  auto worker = workers_.find(found->second.node);
  if (worker != workers_.end()) worker->second.exits.push_back(exited);
  bool attached = found->second.attached;
  trainers_.erase(found);
  if (attached && controller_) controller_->OnTrainerDetached(id);
}

void FakeCluster::Start(const std::string& node, const v1::StartTrainer& start) {
  if (dead() || !workers_.contains(node) || !workers_[node].registered) return;
  if (broken_nodes.contains(node)) {
    v1::TrainerExited& exited = workers_[node].exits.emplace_back();
    exited.set_trainer_id(start.trainer_id());
    exited.set_start_error("no such program");
    return;
  }
  FakeTrainer& trainer = trainers_[start.trainer_id()];
  trainer.start = start;
  trainer.node = node;
}

void FakeCluster::Stop(const std::string& node, const v1::StopTrainer& stop) {
  if (dead()) return;
  later_.push_back([this, id = stop.trainer_id()] { End(id, true, 15); });
}

void FakeCluster::Send(const std::string& node, const v1::WorkerCommand& command) {
  if (dead()) return;
  if (command.has_registered()) {
    for (const std::string& id : command.registered().unknown_trainer_ids()) {
      later_.push_back([this, id] { End(id, true, 9); });
    }
  } else if (command.has_exit_acknowledged()) {
    std::erase_if(workers_[node].exits, [&](const v1::TrainerExited& exited) {
      return exited.trainer_id() == command.exit_acknowledged().trainer_id();
    });
  }
}

void FakeCluster::Disconnect(const std::string& node) {
  auto found = workers_.find(node);
  if (found != workers_.end()) found->second.registered = false;
}

void FakeCluster::SendTrainer(const std::string& id, const v1::TrainerCommand& command) {
  FakeTrainer* trainer = Trainer(id);
  if (dead() || trainer == nullptr || !trainer->attached) return;
  if (command.has_acknowledged()) {
    while (!trainer->kept.empty() &&
           trainer->kept.front().sequence() <= command.acknowledged().sequence()) {
      trainer->acknowledged.push_back(trainer->kept.front());
      trainer->kept.erase(trainer->kept.begin());
      if (trainer->sent > 0) --trainer->sent;
    }
  } else if (command.has_task() && command.task().task_id() != trainer->last_task_id) {
    trainer->task = command.task();
    trainer->last_task_id = command.task().task_id();
    trainer->step = 0;
    trainer->resumed_from = trainer->step = NewestCheckpoint(command.task());
  } else if (command.has_stop()) {
    trainer->stop = true;
  } else if (command.has_exit()) {
    later_.push_back([this, id] { End(id, false, 0); });
  }
}

void FakeCluster::DisconnectTrainer(const std::string& id) {
  FakeTrainer* trainer = Trainer(id);
  if (dead() || trainer == nullptr || !trainer->attached) return;
  trainer->attached = trainer->hello_sent = false;
  trainer->sent = 0;
  later_.push_back([this, id] { controller_->OnTrainerDetached(id); });
}

void FakeCluster::Run(std::function<void()> work, std::function<void()> done) {
  if (dead()) return;
  later_.push_back([work = std::move(work), done = std::move(done)] {
    work();
    done();
  });
}

Result<v1::ModelVersion> FakeCluster::GetModel(const std::string& reference) {
  if (const size_t at = reference.find("adapter-"); at != reference.npos) {
    v1::ModelVersion adapter;
    adapter.set_name(reference.substr(0, reference.find('@')));
    adapter.set_version(1);
    adapter.set_format("peft-adapter");
    adapter.set_path(folder_ / "models" / adapter.name() / "1");
    adapter.set_base(at == 0 ? "tiny@1" : "other@1");
    return adapter;
  }
  if (reference.rfind("tiny", 0) != 0) return NotFound("no model '" + reference + "'");
  v1::ModelVersion model;
  model.set_name("tiny");
  model.set_version(1);
  model.set_format("huggingface");
  model.set_path(folder_ / "models/tiny/1");
  if (reference.rfind("tiny-learned", 0) == 0) {
    model.set_name("tiny-learned");
    // One that is there, one that was made anew since, and one that is gone.
    for (const char* dataset : {"docs@3", "docs@2", "gone@1"}) {
      model.mutable_lineage()->add_datasets(dataset);
      model.mutable_lineage()->add_dataset_checksums(dataset == std::string("docs@2") ? "before"
                                                                                      : "abc");
    }
  }
  return model;
}

Result<v1::DatasetVersion> FakeCluster::GetDataset(const std::string& reference) {
  if (reference.rfind("docs", 0) != 0) return NotFound("no dataset '" + reference + "'");
  v1::DatasetVersion dataset;
  dataset.set_name("docs");
  dataset.set_version(3);
  dataset.set_checksum("abc");
  (*dataset.mutable_examples())["train"] = 20;
  (*dataset.mutable_examples())["validation"] = 2;
  if (reference == "docs-unlabelled") {
    dataset.set_name(reference);
    dataset.clear_examples();
    dataset.set_unlabelled(3);
  }
  if (reference == "docs-pairs") {
    dataset.set_name(reference);
    dataset.set_shape("preference");
  }
  if (reference == "docs-some-pairs" || reference == "docs-few-pairs") {
    dataset.set_name(reference);
    dataset.set_shape("mixed");
    (*dataset.mutable_kinds())["preference"] = reference == "docs-few-pairs" ? 5 : 6;
    (*dataset.mutable_kinds())["text"] = 95;
  }
  return dataset;
}

Result<models::PreparedOutput> FakeCluster::PrepareOutput(const std::string& name,
                                                          const std::filesystem::path& folder,
                                                          const v1::Lineage& lineage,
                                                          const std::map<std::string, double>&) {
  ++registering_tried;
  if (!registering_fails.ok()) return registering_fails;
  models::PreparedOutput output;
  output.name = name;
  output.folder = folder;
  *output.version.mutable_lineage() = lineage;
  return output;
}

Result<v1::ModelVersion> FakeCluster::RegisterOutput(Transaction& transaction,
                                                     const models::PreparedOutput& output) {
  std::string job_id = output.version.lineage().job_id();
  transaction.session() << "INSERT INTO fake_models (job_id) VALUES (:job)", soci::use(job_id);
  registered_jobs.insert(job_id);
  v1::ModelVersion version = output.version;
  version.set_name(output.name);
  version.set_version(1);
  return version;
}

void FakeCluster::Step() {
  clock_.Advance(std::chrono::milliseconds(100));
  if (controller_) StepWorkers();
  std::vector<std::string> ids;
  for (const auto& [id, trainer] : trainers_) ids.push_back(id);
  for (const std::string& id : ids) {
    if (FakeTrainer* trainer = Trainer(id)) StepTrainer(*trainer);
  }
  if (controller_) controller_->Tick();
  std::vector<std::function<void()>> now = std::move(later_);
  later_.clear();
  for (auto& function : now) function();
}

void FakeCluster::StepWorkers() {
  for (auto& [name, worker] : workers_) {
    auto fill = [&](auto* running) {
      for (const auto& [id, trainer] : trainers_) {
        if (trainer.node != name || unlisted.contains(id)) continue;
        auto* listed = running->Add();
        listed->set_trainer_id(id);
      }
    };
    const std::string node = name;
    if (!worker.registered) {
      worker.registered = true;
      v1::RegisterWorker message;
      message.set_node(node);
      message.set_slots(worker.slots);
      message.set_memory_bytes(worker.memory_bytes);
      fill(message.mutable_running());
      controller_->OnWorkerRegistered(message, "ipv4:127.0.0.1:1");
      worker.next_heartbeat = clock_.Monotonic();
    } else if (clock_.Monotonic() >= worker.next_heartbeat) {
      v1::Heartbeat beat;
      fill(beat.mutable_running());
      beat.set_not_ready(troubled_nodes[node]);
      controller_->OnHeartbeat(node, beat);
      worker.next_heartbeat = clock_.Monotonic() + std::chrono::seconds(2);
    }
    std::vector<v1::TrainerExited> exits = worker.exits;
    for (const v1::TrainerExited& exited : exits) controller_->OnTrainerExited(node, exited);
  }
}

void FakeCluster::StepTrainer(FakeTrainer& trainer) {
  const std::string id = trainer.start.trainer_id();
  if (controller_ && trainers_attach && !trainer.hello_sent) {
    trainer.attached = trainer.hello_sent = true;
    v1::TrainerHello hello;
    hello.set_trainer_id(id);
    if (trainer.task) hello.set_running_task_id(trainer.task->task_id());
    hello.set_next_sequence(trainer.kept.empty() ? trainer.next_sequence
                                                 : trainer.kept.front().sequence());
    controller_->OnTrainerHello(hello);
  }
  FakeTrainer* still = Trainer(id);
  if (still == nullptr) return;
  if (still->task && steps_flow && !still->hangs) Work(*still);
  while (controller_ && still->attached && reports_flow && still->sent < still->kept.size()) {
    v1::TrainerMessage message = still->kept[still->sent++];
    if (std::exchange(turn_away_report, false)) continue;
    controller_->OnTrainerMessage(id, message);
  }
}

void FakeCluster::Report(FakeTrainer& trainer, v1::TrainerMessage message) {
  message.set_sequence(trainer.next_sequence++);
  trainer.kept.push_back(std::move(message));
}

void FakeCluster::SayProgress(const FakeTrainer& trainer) {
  if (!controller_ || !trainer.attached || !reports_flow) return;
  v1::TrainerMessage message;
  message.mutable_progress()->set_phase("training");
  message.mutable_progress()->set_step(trainer.step);
  controller_->OnTrainerMessage(trainer.start.trainer_id(), message);
}

void FakeCluster::Work(FakeTrainer& trainer) {
  const v1::TrainerTask task = *trainer.task;
  v1::TrainerMessage done;
  done.mutable_done()->set_task_id(task.task_id());
  if (!task.has_train()) {
    if (task.has_prepare() && !prepare_warning.empty()) {
      v1::TrainerMessage warning;
      warning.mutable_warning()->set_task_id(task.task_id());
      warning.mutable_warning()->set_message(prepare_warning);
      Report(trainer, std::move(warning));
    }
    for (const std::string& prompt : task.generate().prompts()) {
      v1::TrainerMessage line;
      line.mutable_output()->set_data("{\"prompt\": ");  // a long line comes in pieces
      Report(trainer, line);
      line.mutable_output()->set_data("\"" + prompt + "\"}\n");
      Report(trainer, std::move(line));
    }
    trainer.task.reset();
    return Report(trainer, std::move(done));
  }
  const uint32_t steps = task.spec().train().max_steps();
  auto checkpoint = [&] {
    char name[32];
    std::snprintf(name, sizeof name, "step-%08u", trainer.step);
    auto path = std::filesystem::path(task.run_directory()) / "checkpoints" / name;
    std::filesystem::create_directories(path);
    v1::TrainerMessage saved;
    saved.mutable_checkpoint()->set_task_id(task.task_id());
    saved.mutable_checkpoint()->set_step(trainer.step);
    saved.mutable_checkpoint()->set_path(path);
    Report(trainer, std::move(saved));
  };
  if (trainer.stop) {
    if (task.rank() == 0) checkpoint();
    v1::TrainerMessage stopped;
    stopped.mutable_failed()->set_task_id(task.task_id());
    stopped.mutable_failed()->set_message("stopped");
    trainer.task.reset();
    return Report(trainer, std::move(stopped));
  }
  for (uint32_t rank = 0; rank < task.world_size(); ++rank) {  // a collective needs everybody
    FakeTrainer* peer = Trainer(TrainerId(task.job_id(), task.generation(), rank));
    if (peer == nullptr || peer->step < trainer.step) return;
  }
  if (trainer.step < steps) {
    ++trainer.step;
    if (task.rank() != 0) return SayProgress(trainer);
    v1::TrainerMessage metrics;
    metrics.mutable_metrics()->set_step(trainer.step);
    metrics.mutable_metrics()->set_loss(10.0 / trainer.step);
    metrics.mutable_metrics()->set_seconds(step_seconds);
    metrics.mutable_metrics()->set_predicted_memory(1000);
    metrics.mutable_metrics()->set_peak_memory(900 + trainer.step);
    metrics.mutable_metrics()->set_generation(task.generation());
    Report(trainer, std::move(metrics));
    if (trainer.step % checkpoint_every == 0) checkpoint();
    return;
  }
  done.mutable_done()->set_output_path(task.run_directory() + "/output");
  done.mutable_done()->set_total_steps(steps);
  trainer.task.reset();
  Report(trainer, std::move(done));
}

bool FakeCluster::RunUntil(const std::function<bool()>& done, int seconds) {
  for (int i = 0; i < seconds * 10; ++i) {
    if (done()) return true;
    Step();
  }
  return done();
}

bool FakeCluster::RunUntilState(const std::string& id, v1::Job::State state, int seconds) {
  return RunUntil([&] { return Job(id).state() == state; }, seconds);
}

}  // namespace attune::jobs
