#include "coordinator/jobs/controller.h"

#include <algorithm>

#include "common/log/log.h"
#include "coordinator/jobs/checkpoints.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/store/events.h"
#include "coordinator/store/requests.h"

namespace attune::jobs {
namespace {

// Each holds the whole job; steps, evaluations, waits and restarts may come without end.
constexpr int kEventsOfATypeKept = 50;

}  // namespace

Controller::Controller(ControllerOptions options, ControllerPorts ports)
    : options_(std::move(options)),
      ports_(std::move(ports)),
      random_(options_.seed),
      watch_(ports_.clock, options_.liveness.interval),
      nodes_(options_.liveness) {}

Controller::~Controller() = default;

Status Controller::Commit(Change change) {
  Status refusal;
  Status status = ports_.database->Write([&](Transaction& transaction) {
    if (change.check) refusal = change.check(transaction, change.record);
    ATTUNE_RETURN_IF_ERROR(refusal);
    if (change.also) ATTUNE_RETURN_IF_ERROR(change.also(transaction, &change.record));
    for (const TrainerRecord& trainer : change.trainers) SaveTrainer(transaction, trainer);
    for (const Change::Line& line : change.events) {
      v1::Job& job = change.record.job;
      const std::string message = line.message.empty() ? job.reason() : line.message;
      const uint64_t pruned =
          PruneEvents(transaction, "job", job.id(), line.type, kEventsOfATypeKept - 1);
      if (pruned > 0) (*job.mutable_events_left_out())[line.type] += pruned;
      transaction.AppendEvent("job", job.id(), line.type, message, [&](int64_t sequence) {
        job.set_sequence(static_cast<uint64_t>(sequence));
        return WithoutTask(job).SerializeAsString();
      });
    }
    SaveJob(transaction, change.record);
    if (change.request) {
      SaveRequest(transaction, change.request->id, change.request->method, change.request->content,
                  WithoutTask(change.record.job).SerializeAsString());
    }
    return Status();
  });
  if (!refusal.ok()) return refusal;
  if (!status.ok()) {
    // What cannot be committed is tried again every tick; say so when it changes, and now and then.
    const std::string error = change.record.job.id() + " " + status.ToString();
    if (error != commit_error_ || Now() - commit_error_logged_ > std::chrono::seconds(30)) {
      commit_error_ = error;
      commit_error_logged_ = Now();
      spdlog::error("change not committed, will be tried again: job={}", error);
    }
    return status;
  }
  for (const TrainerRecord& trainer : change.trainers) {
    auto found = trainers_.find(trainer.id);
    if (trainer.state == TrainerState::kExited) {
      Forget(trainer.id);
    } else if (found != trainers_.end()) {
      found->second.record = trainer;
    }
  }
  for (const Change::Line& line : change.events) {
    if (line.type != "step") {
      spdlog::info("job={} event={} state={} {}", change.record.job.id(), line.type,
                   StateName(change.record.job.state()),
                   line.message.empty() ? change.record.job.reason() : line.message);
    }
  }
  const std::string id = change.record.job.id();
  if (IsFinal(change.record.job.state())) {
    ports_.telemetry->OnJobEnded(change.record.job);
    jobs_.erase(id);
  } else if (OpenJob* job = FindOpenJob(id)) {
    job->record = std::move(change.record);
  }
  return Status();
}

Status Controller::ApplyEvent(JobRecord* record, JobEvent event, const std::string& reason) {
  ATTUNE_ASSIGN_OR_RETURN(v1::Job::State next, Next(record->job.state(), event));
  const TimePoint now = ports_.clock->Now();
  record->job.set_state(next);
  record->job.set_reason(reason);
  if (next == v1::Job::QUEUED) record->queued = now;
  record->job.clear_ended();
  if (IsFinal(next)) SetTimestamp(record->job.mutable_ended(), now);
  if (!IsActive(next)) {
    record->phase = Phase::kNone;
    record->phase_since = now;
    record->pause_requested = record->resume_requested = false;
    record->token_sha256.clear();
  }
  return Status();
}

Controller::Trainer* Controller::FindTrainer(const std::string& id) {
  auto found = trainers_.find(id);
  return found == trainers_.end() ? nullptr : &found->second;
}

Controller::OpenJob* Controller::FindOpenJob(const std::string& id) {
  auto found = jobs_.find(id);
  return found == jobs_.end() ? nullptr : &found->second;
}

// It counts as ended. Should it live on, out of its worker's sight, it must not go on writing into
// its job's folder.
void Controller::Forget(const std::string& trainer_id) {
  if (trainers_.erase(trainer_id) == 0) return;
  v1::TrainerCommand command;
  command.mutable_exit()->set_reason("this attempt is over");
  ports_.trainers->Send(trainer_id, command);
  ports_.trainers->Disconnect(trainer_id);
}

std::vector<Controller::Trainer*> Controller::TrainersOf(const JobRecord& record) {
  std::vector<Trainer*> trainers;
  for (uint32_t rank = 0; rank < record.job.ranks(); ++rank) {
    Trainer* trainer = FindTrainer(TrainerId(record.job.id(), record.job.generation(), rank));
    if (trainer != nullptr) trainers.push_back(trainer);
  }
  return trainers;
}

Status Controller::Recover() {
  std::vector<JobRecord> records;
  std::vector<TrainerRecord> trainers;
  std::vector<v1::Node> nodes;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    records = LoadOpenJobs(transaction);
    trainers = LoadLiveTrainers(transaction);
    nodes = LoadNodes(transaction);
    return Status();
  }));
  const Time now = Now();
  for (const v1::Node& node : nodes) {
    const Duration silence = ports_.clock->Now() - GetTimestamp(node.last_heartbeat());
    nodes_.Restore(node, now, options_.reattach_timeout,
                   std::chrono::duration_cast<std::chrono::milliseconds>(silence));
  }
  for (TrainerRecord& record : trainers) {
    Trainer trainer;
    trainer.detached_since = now;
    if (record.state == TrainerState::kStopping) trainer.kill_at = now + options_.exit_grace;
    trainer.taken = record.last_sequence;
    trainer.record = std::move(record);
    trainers_.emplace(trainer.record.id, std::move(trainer));
  }
  std::vector<std::string> active;
  for (JobRecord& record : records) {
    const std::string id = record.job.id();
    if (IsActive(record.job.state())) {
      const std::string run = RunName(id, record.job.generation());
      ports_.tokens->Add(record.token_sha256, run);
      ports_.rendezvous->OpenRun(run);
      active.push_back(id);
    }
    OpenJob job;
    job.attempt_since = job.task_since = job.pause_since = now;
    job.record = std::move(record);
    jobs_.emplace(id, std::move(job));
  }
  spdlog::info("recovered jobs={} active={} trainers={} nodes={}", jobs_.size(), active.size(),
               trainers_.size(), nodes.size());
  for (const std::string& id : active) Advance(id);
  return Status();
}

// What came in while this thread was busy is still unread: see WatchTime.
void Controller::Look() {
  const std::chrono::duration<double> late = watch_.Look();
  if (late.count() <= 0) return;
  ports_.telemetry->OnLate(late.count());
  spdlog::warn("the coordinator stood still for {:.1f} s longer than it should: a slow disk?",
               late.count());
}

// A wall clock that was set back must not make a wait longer than it may ever be.
void Controller::BoundWaits() {
  const TimePoint now = ports_.clock->Now();
  for (auto& [id, job] : jobs_) {
    JobRecord& record = job.record;
    const Duration most = record.pause_cause == PauseCause::kNoSpace ? SpaceRetry(UINT32_MAX)
                                                                     : options_.retry.backoff_max;
    record.not_before = std::min(record.not_before, now + most);
  }
}

void Controller::Tick() {
  Flush();
  Look();
  const Time now = Now();
  ports_.rendezvous->ExpireWaits();
  for (const std::string& node : nodes_.TakeLost(now)) LoseNode(node);
  ForgetNodes(now);
  CheckTrainers(now);
  CheckJobs(now);
  BoundWaits();
  if (now >= next_space_check_) {
    next_space_check_ = now + options_.space_check_interval;
    CheckSpace(now);
  }
  if (now >= next_housekeeping_) KeepHouse(now);
  Schedule();
}

// At the first tick, then every hour.
void Controller::KeepHouse(Time now) {
  const bool ran_an_hour = next_housekeeping_ != Time{};
  next_housekeeping_ = now + std::chrono::hours(1);
  if (ran_an_hour) {
    (void)ports_.database->Write([](Transaction& transaction) {
      ExpireRequests(transaction);
      return Status();
    });
  }
  ports_.background->Run(
      [database = ports_.database, storage = options_.storage, wall_now = ports_.clock->Now(),
       kept = options_.keep_checkpoints] { SweepCheckpoints(database, storage, wall_now, kept); },
      [] {});
}

}  // namespace attune::jobs
