// An attempt from its placement to its last task.

#include <algorithm>
#include <set>

#include "common/base/text.h"
#include "common/log/log.h"
#include "common/spec/json.h"
#include "coordinator/jobs/checkpoints.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace {

constexpr uint32_t kRegisterTriesMax = 20;  // a quarter of an hour

std::string OutputName(const v1::Job& job) {
  const std::string& name = job.spec().register_().model();
  return name.empty() ? job.name() : name;
}

v1::DatasetFiles FilesOf(const std::string& reference, const v1::DatasetVersion& dataset) {
  v1::DatasetFiles files;
  files.set_reference(reference);
  files.set_path(dataset.path());
  files.set_checksum(dataset.checksum());
  files.set_weight(1);
  return files;
}

// What a model has learned from, as far as it is still there: another one may have the name by now.
void AddLearned(const v1::Lineage& lineage, Artifacts& artifacts, TaskFiles* files) {
  const int count = std::min(lineage.datasets_size(), lineage.dataset_checksums_size());
  for (int i = 0; i < count; ++i) {
    const auto dataset = artifacts.GetDataset(lineage.datasets(i));
    if (!dataset.ok() || dataset->checksum() != lineage.dataset_checksums(i)) continue;
    files->datasets.push_back(FilesOf(lineage.datasets(i), *dataset));
  }
}

}  // namespace

scheduling::ClusterView Controller::View(Time now) {
  scheduling::ClusterView view;
  view.now = ports_.clock->Now();
  std::map<std::string, std::set<uint32_t>> taken;
  std::map<std::string, uint32_t> held;
  for (const auto& [id, trainer] : trainers_) {
    taken[trainer.record.node].insert(trainer.record.slot);
    ++held[trainer.record.job_id];
  }
  for (const auto& [name, entry] : nodes_.entries()) {
    scheduling::NodeView node{
        name, nodes_.Ready(name, now), entry.node.slots(), {}, entry.lost ? "" : entry.trouble};
    for (uint32_t slot = 0; slot < node.slots; ++slot) {
      if (!taken[name].contains(slot)) node.free.push_back(slot);
    }
    view.nodes.push_back(std::move(node));
  }
  std::vector<const JobRecord*> queue;
  for (const auto& [id, job] : jobs_) {
    if (job.record.job.state() == v1::Job::QUEUED) queue.push_back(&job.record);
  }
  std::sort(queue.begin(), queue.end(),
            [](const JobRecord* a, const JobRecord* b) { return a->number < b->number; });
  for (const JobRecord* record : queue) {
    v1::RanksSpec ranks = RanksOf(record->job);
    const auto& avoided = record->job.avoided_nodes();
    view.queue.push_back({record->job.id(),
                          ranks.min(),
                          ranks.max(),
                          record->not_before,
                          held.contains(record->job.id()) ? held[record->job.id()] : 0,
                          {avoided.begin(), avoided.end()}});
  }
  for (const auto& [id, slots] : held) view.holding.push_back({id, slots});
  return view;
}

void Controller::Schedule() {
  scheduling::Plan plan = scheduling::MakePlan(View(Now()));
  for (const scheduling::Placement& placement : plan.placements) {
    if (OpenJob* job = FindOpenJob(placement.job_id)) StartAttempt(*job, placement);
  }
  for (const auto& [id, wait] : plan.waits) {
    if (OpenJob* job = FindOpenJob(id)) SetWait(*job, wait);
  }
}

// The reason is stored when it changes, except while it counts seconds.
void Controller::SetWait(OpenJob& job, const scheduling::Wait& wait) {
  if (job.record.not_before > ports_.clock->Now()) return;
  if (job.record.job.reason() == wait.summary) return;
  Change change;
  change.record = job.record;
  change.record.job.set_reason(wait.summary);
  change.events.push_back({"waiting", wait.summary});
  (void)Commit(std::move(change));
}

void Controller::StartAttempt(OpenJob& job, const scheduling::Placement& placement) {
  const std::string job_id = placement.job_id;
  const std::string token = NewToken();
  Change change;
  change.record = job.record;
  JobRecord& record = change.record;
  const double queue_wait =
      std::chrono::duration<double>(ports_.clock->Now() - record.queued).count();
  if (!ApplyEvent(&record, JobEvent::kPlaced, "trainers start").ok()) return;
  record.job.set_generation(record.job.generation() + 1);
  record.job.set_ranks(static_cast<uint32_t>(placement.slots.size()));
  if (!record.job.has_started()) SetTimestamp(record.job.mutable_started(), ports_.clock->Now());
  record.phase = Phase::kAttaching;
  record.phase_since = ports_.clock->Now();
  record.token_sha256 = Sha256Hex(token);
  record.output_path.clear();
  record.output_bytes = 0;
  record.job.clear_placements();
  const uint32_t generation = record.job.generation();
  std::map<std::string, uint32_t> per_node;
  for (uint32_t rank = 0; rank < placement.slots.size(); ++rank) {
    const scheduling::Slot& slot = placement.slots[rank];
    ++per_node[slot.node];
    v1::Placement* placed = record.job.add_placements();
    placed->set_rank(rank);
    placed->set_node(slot.node);
    placed->set_slot(slot.slot);
    change.trainers.push_back({TrainerId(job_id, generation, rank),
                               job_id,
                               generation,
                               rank,
                               slot.node,
                               slot.slot,
                               TrainerState::kStarting,
                               0,
                               "",
                               {}});
  }
  std::string where;
  for (const auto& [node, count] : per_node) {
    where += (where.empty() ? "" : ", ") + std::to_string(count) + " on " + node;
  }
  change.events.push_back({"placed", "attempt " + std::to_string(generation) + ": " +
                                         CountOf(placement.slots.size(), "rank") + " (" + where +
                                         ")"});
  change.also = [generation](Transaction& transaction, JobRecord* saved) {
    jobs::StartAttempt(transaction, saved->job.id(), generation, saved->job.ranks());
    return Status();
  };
  std::vector<TrainerRecord> trainers = change.trainers;
  if (!Commit(std::move(change)).ok()) return;
  const Time now = Now();
  job.attempt_since = now;
  job.peer_lost_since.reset();
  job.registering = false;
  job.register_tries = 0;
  job.output_failing_since.reset();
  job.shown_phase.clear();
  job.step_took = {};
  const std::string run = RunName(job_id, generation);
  ports_.tokens->Add(job.record.token_sha256, run);
  ports_.rendezvous->OpenRun(run);
  for (const TrainerRecord& trainer : trainers) {
    Trainer& started = trainers_[trainer.id];
    started.record = trainer;
    started.detached_since = now;
    v1::StartTrainer start;
    start.set_trainer_id(trainer.id);
    start.set_job_id(job_id);
    start.set_generation(generation);
    start.set_rank(trainer.rank);
    start.set_slot(trainer.slot);
    start.set_token(token);
    ports_.launcher->Start(trainer.node, start);
  }
  ports_.telemetry->OnJobPlaced(queue_wait);
}

// Moves an attempt on as far as what is committed allows. Idempotent: also what Recover calls.
void Controller::Advance(const std::string& job_id) {
  OpenJob* job = FindOpenJob(job_id);
  if (job == nullptr || !IsActive(job->record.job.state())) return;
  const JobRecord& record = job->record;
  std::vector<Trainer*> trainers = TrainersOf(record);
  const bool have_zero = !trainers.empty() && trainers[0]->record.rank == 0;
  const std::string done = have_zero ? trainers[0]->record.done_task_id : "";
  // Once rank 0 has the output, the others are needed no more.
  const bool worked = record.phase == Phase::kRegistering || done == MainTaskId(record);
  if (!worked && TakeFailure(*job)) return;
  switch (record.phase) {
    case Phase::kNone:
      return;
    case Phase::kAttaching:
      for (const Trainer* trainer : trainers) {
        if (!trainer->attached) return;
      }
      if (trainers.size() < record.job.ranks()) return;
      return NeedsPrepare(record.job.kind()) ? StartPreparing(*job) : StartWork(*job);
    case Phase::kPreparing:
      return IsPrepared(record) ? StartWork(*job) : void();
    case Phase::kWorking:
      if (done == MainTaskId(record)) {
        if (record.job.kind() == v1::Job::TRAIN && !record.output_path.empty()) {
          return StartRegistering(*job);
        }
        Ending ending;
        if (record.job.kind() != v1::Job::TRAIN) {
          ending.event = JobEvent::kSucceeded;
          ending.event_type = "ended";
          ending.reason = "done";
        } else if (record.pause_requested) {
          ending = PauseEnding(record, "paused by the user");
        } else {
          Failure failure{Failure::Kind::kTrainer,
                          0,
                          trainers[0]->record.node,
                          "the trainer said it was done, but has no output",
                          {}};
          (void)Fail(*job, failure);
          return;
        }
        ending.orderly = true;
        (void)EndAttempt(*job, std::move(ending));
      }
      return;
    case Phase::kRegistering:
      StartRegistering(*job);
      return;
  }
}

Controller::Change Controller::IntoPhase(const JobRecord& record, Phase phase, TimePoint now) {
  Change change;
  change.record = record;
  change.record.phase = phase;
  change.record.phase_since = now;
  return change;
}

void Controller::StartWork(OpenJob& job) {
  Change change = IntoPhase(job.record, Phase::kWorking, ports_.clock->Now());
  // Which checkpoint that is, rank 0 finds out: it may have written one that we never heard of.
  const bool first = job.record.job.generation() == 1 || job.record.job.kind() != v1::Job::TRAIN;
  const bool again =
      job.record.checkpoint_step > 0 || (!first && HasCheckpoint(CheckpointFolder(job.record)));
  const std::string message = again   ? "resumes from the newest checkpoint"
                              : first ? "starts"
                                      : "starts from step 0: it has no checkpoint";
  change.record.job.set_reason(message);
  change.record.job.clear_progress();
  change.events.push_back({"started", message});
  const std::string id = job.record.job.id();
  if (!Commit(std::move(change)).ok()) return;
  job.task_since = Now();
  for (Trainer* trainer : TrainersOf(job.record)) {
    SendTask(job, *trainer);
    if (FindOpenJob(id) == nullptr) return;  // its inputs are gone: it has failed
  }
}

std::filesystem::path Controller::CheckpointFolder(const JobRecord& record) const {
  return RunFolder(options_.storage, record.job.id()) / "checkpoints";
}

Result<v1::ModelFiles> Controller::FilesOfModel(const std::string& name) {
  v1::ModelFiles files;
  v1::ModelFiles* target = &files;
  std::string reference = name;
  for (int depth = 0; !reference.empty(); ++depth) {
    if (depth > 4) return InvalidArgument("model " + name + " has a chain of bases");
    ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion model, ports_.artifacts->GetModel(reference));
    target->set_reference(reference);
    target->set_path(model.path());
    target->set_format(model.format());
    if (model.lineage().job_id().empty()) target->set_source(model.lineage().source());
    reference = model.base();
    if (!reference.empty()) target = target->add_adapter_base();
  }
  return files;
}

Result<TaskFiles> Controller::ResolveFiles(const v1::Job& job) {
  TaskFiles files;
  ATTUNE_ASSIGN_OR_RETURN(files.base, FilesOfModel(job.base()));
  if (job.kind() == v1::Job::EXPORT && job.task().export_().merge()) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::ModelVersion model, ports_.artifacts->GetModel(job.base()));
    AddLearned(model.lineage(), *ports_.artifacts, &files);
  }
  for (const std::string& adapter : job.adapters()) {
    ATTUNE_ASSIGN_OR_RETURN(v1::ModelFiles of_adapter, FilesOfModel(adapter));
    files.adapters.push_back(std::move(of_adapter));
  }
  for (int i = 0; i < job.datasets_size(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion dataset,
                            ports_.artifacts->GetDataset(job.datasets(i)));
    v1::DatasetFiles file = FilesOf(job.datasets(i), dataset);
    v1::DatasetRef ref;
    if (i < job.spec().datasets_size()) ref = job.spec().datasets(i);
    file.set_share(ref.share());
    file.set_weight(ref.share() > 0 ? 0 : ref.weight() > 0 ? ref.weight() : 1);
    files.datasets.push_back(std::move(file));
  }
  return files;
}

// What the trainer is to do in the attempt's phase; nothing when it has none or has done it.
void Controller::SendTask(OpenJob& job, Trainer& trainer) {
  const JobRecord& record = job.record;
  const bool preparing = record.phase == Phase::kPreparing;
  if (!preparing && record.phase != Phase::kWorking) return;
  const std::string task_id = preparing ? PrepareTaskId(record) : MainTaskId(record);
  if (trainer.record.done_task_id == task_id) return;
  auto files = ResolveFiles(record.job);
  if (!files.ok()) {
    Failure failure{Failure::Kind::kInvalid,
                    static_cast<int>(trainer.record.rank),
                    trainer.record.node,
                    files.status().message(),
                    {}};
    (void)Fail(job, failure);
    return;
  }
  v1::TrainerCommand command;
  const std::string storage = options_.storage.string();
  const auto make = preparing ? MakePrepareTask : MakeMainTask;
  *command.mutable_task() = make(record, *files, storage, trainer.record.rank);
  ports_.trainers->Send(trainer.record.id, command);
}

void Controller::StartRegistering(OpenJob& job) {
  const std::string id = job.record.job.id();
  if (job.record.phase != Phase::kRegistering) {
    Change change = IntoPhase(job.record, Phase::kRegistering, ports_.clock->Now());
    change.record.job.set_reason("registers the model");
    change.events.push_back({"registering", "training is done; the output is checked"});
    if (!Commit(std::move(change)).ok()) return;
  }
  if (job.registering || Now() < job.register_at) return;
  job.registering = true;
  const v1::Job snapshot = job.record.job;
  v1::Lineage lineage;
  lineage.set_job_id(id);
  lineage.set_base(snapshot.base());
  lineage.set_update(snapshot.update());
  for (const std::string& dataset : snapshot.datasets()) {
    lineage.add_datasets(dataset);
    auto version = ports_.artifacts->GetDataset(dataset);
    lineage.add_dataset_checksums(version.ok() ? version->checksum() : "");
  }
  lineage.set_spec(spec::ToJsonText(snapshot.spec()));
  std::map<std::string, double> metrics(snapshot.metrics().begin(), snapshot.metrics().end());
  const std::string name = OutputName(snapshot);
  auto output = std::make_shared<Result<models::PreparedOutput>>(Internal("not run"));
  Artifacts* artifacts = ports_.artifacts;
  const std::string folder = job.record.output_path;
  ports_.background->Run(
      [=] { *output = artifacts->PrepareOutput(name, folder, lineage, metrics); },
      [this, id, output] { FinishRegistering(id, std::move(*output)); });
}

void Controller::FinishRegistering(const std::string& job_id,
                                   Result<models::PreparedOutput> output) {
  OpenJob* job = FindOpenJob(job_id);
  if (job == nullptr || job->record.phase != Phase::kRegistering) return;
  job->registering = false;
  if (!output.ok()) return RegisteringFailed(*job, output.status());
  v1::ModelVersion version;
  Ending ending;
  ending.event = JobEvent::kSucceeded;
  ending.event_type = "ended";
  ending.orderly = true;
  ending.also = [&](Transaction& transaction, JobRecord* record) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(version, ports_.artifacts->RegisterOutput(transaction, *output));
    record->job.set_model(version.name() + "@" + std::to_string(version.version()));
    record->job.set_reason("registered " + record->job.model());
    return Status();
  };
  if (Status ended = EndAttempt(*job, std::move(ending)); !ended.ok()) {
    return RegisterLater(*job, ended);
  }
  // Before anything else can happen: a task is given the path that the model has at that moment.
  Status placed = ports_.artifacts->PlaceOutput(version);
  if (!placed.ok()) spdlog::warn("model {} stays in place: {}", version.name(), placed.ToString());
  ports_.background->Run(
      [job_id, ports = ports_, storage = options_.storage, kept = options_.keep_checkpoints] {
        Status status =
            RemoveCheckpoints(ports.database, storage, job_id, ports.clock->Now(), kept);
        if (!status.ok()) spdlog::warn("checkpoints stay for now: {}", status.ToString());
      },
      [] {});
}

// CheckJobs starts it again.
void Controller::RegisterLater(OpenJob& job, const Status& status) {
  const Duration wait = RetryBackoff(job.register_tries++, options_.retry, random_);
  job.register_at = Now() + wait;
  spdlog::warn("job={} registering failed, tried again in {} s: {}", job.record.job.id(),
               std::chrono::ceil<std::chrono::seconds>(wait).count(), status.ToString());
}

// The training is done and paid for: only what no later try can mend ends it, and its files stay.
void Controller::RegisteringFailed(OpenJob& job, const Status& status) {
  const v1::Job& record = job.record.job;
  Failure failure{
      Failure::Kind::kNoSpace, -1, "", "the output was not registered: " + status.message(), {}};
  if (status.code() != StatusCode::kResourceExhausted) {
    const bool may_pass = status.code() == StatusCode::kNotFound ||
                          status.code() == StatusCode::kUnavailable ||
                          status.code() == StatusCode::kInternal;
    if (may_pass && job.register_tries < kRegisterTriesMax) return RegisterLater(job, status);
    const bool adapter = record.spec().method().type() != "full";
    failure.kind = Failure::Kind::kInvalid;
    failure.cause += "; it is kept: attune model import " + OutputName(record) + " " +
                     job.record.output_path + (adapter ? " --base " + record.base() : "");
  }
  (void)Fail(job, failure);
}

}  // namespace attune::jobs
