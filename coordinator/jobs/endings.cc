// How attempts and trainers end.

#include <algorithm>

#include "common/base/utf8.h"
#include "common/log/log.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/larger_nodes.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace {

constexpr int kIncidentsKept = 10;
constexpr int kLogTailLines = 20;
constexpr size_t kLogLineBytesMax = 400;
constexpr int kLogTailLinesOfOlder = 3;

void AddIncident(v1::Job* job, const Failure& failure, TimePoint now) {
  if (job->incidents_size() >= kIncidentsKept) job->mutable_incidents()->DeleteSubrange(0, 1);
  for (v1::Incident& older : *job->mutable_incidents()) {
    int extra = older.log_tail_size() - kLogTailLinesOfOlder;
    if (extra > 0) older.mutable_log_tail()->DeleteSubrange(0, extra);
  }
  v1::Incident* incident = job->add_incidents();
  SetTimestamp(incident->mutable_time(), now);
  incident->set_generation(job->generation());
  incident->set_rank(failure.rank);
  incident->set_node(failure.node);
  incident->set_cause(failure.cause);
  incident->set_step(job->step());
  size_t first =
      failure.log_tail.size() > kLogTailLines ? failure.log_tail.size() - kLogTailLines : 0;
  for (size_t i = first; i < failure.log_tail.size(); ++i) {
    incident->add_log_tail(Shorten(failure.log_tail[i], kLogLineBytesMax));
  }
}

void Avoid(const std::string& node, v1::Job* job) {
  auto* avoided = job->mutable_avoided_nodes();
  if (std::find(avoided->begin(), avoided->end(), node) == avoided->end()) *avoided->Add() = node;
}

// What a lost attempt, to be followed by another, does to the next tries.
void CountLost(v1::Job* job, const Failure& failure, bool counted, bool had_stepped) {
  if (failure.kind == Failure::Kind::kNoMemory) return;  // refused, not lost
  if (counted) {
    job->set_failures_in_row(job->failures_in_row() + 1);
  } else {
    job->set_losses_in_row(job->losses_in_row() + 1);
  }
  const bool worked =
      failure.kind != Failure::Kind::kNotStarted && failure.kind != Failure::Kind::kStopped;
  if (worked) job->set_restarts(job->restarts() + 1);
  // Who says that a peer was lost is not the one to blame.
  if (had_stepped || failure.node.empty() || failure.kind == Failure::Kind::kPeerLost) return;
  Avoid(failure.node, job);
}

// Why the job would fail again if it were resumed; kNone when that is not known. The folder of an
// export and the registry are no part of what was submitted: they may be mended.
PauseCause FailsAgain(const JobRecord& record, const Failure& failure) {
  if (failure.kind == Failure::Kind::kNoMemory) return PauseCause::kMemory;
  const bool outside = record.job.kind() == v1::Job::EXPORT || record.phase == Phase::kRegistering;
  const bool input = failure.kind == Failure::Kind::kInvalid && !outside;
  return input ? PauseCause::kInput : PauseCause::kNone;
}

}  // namespace

bool Controller::IsOfCurrentAttempt(const TrainerRecord& trainer, const OpenJob& job) const {
  return trainer.job_id == job.record.job.id() && IsActive(job.record.job.state()) &&
         trainer.generation == job.record.job.generation();
}

// Also for a job without an attempt (QUEUED, PAUSED): then there is just nobody to stop.
Status Controller::EndAttempt(OpenJob& job, Ending ending) {
  const std::string id = job.record.job.id();
  const uint32_t generation = job.record.job.generation();
  const bool was_active = IsActive(job.record.job.state());
  Change change;
  change.record = job.record;
  JobRecord& record = change.record;
  ATTUNE_RETURN_IF_ERROR(ApplyEvent(&record, ending.event, ending.reason));
  record.job.clear_progress();
  record.not_before = ending.not_before;
  record.pause_cause = ending.pause_cause;
  if (ending.incident && ending.event == JobEvent::kRequeued && !job.record.pause_requested) {
    CountLost(&record.job, *ending.incident, ending.counted,
              job.record.job.state() == v1::Job::RUNNING);
  }
  for (const std::string& node : ending.avoided) Avoid(node, &record.job);
  if (ending.incident) {
    AddIncident(&record.job, *ending.incident, ports_.clock->Now());
    change.events.push_back({"incident", Describe(*ending.incident)});
  }
  change.events.push_back({ending.event_type, ""});
  std::vector<std::string> stopping;
  for (const auto& [trainer_id, trainer] : trainers_) {
    if (trainer.record.job_id != id) continue;
    TrainerRecord changed = trainer.record;
    const auto& exited = ending.exited_trainers;
    bool gone = std::find(exited.begin(), exited.end(), trainer_id) != exited.end();
    changed.state = gone ? TrainerState::kExited : TrainerState::kStopping;
    if (!gone) stopping.push_back(trainer_id);
    change.trainers.push_back(std::move(changed));
  }
  change.also = [&, also = std::move(ending.also)](Transaction& transaction, JobRecord* saved) {
    if (also) ATTUNE_RETURN_IF_ERROR(also(transaction, saved));
    ending.reason = saved->job.reason();
    const std::string outcome = std::string(Name(ending.event)) + ": " + ending.reason;
    if (was_active) jobs::EndAttempt(transaction, id, generation, outcome);
    return Status();
  };
  change.request = std::move(ending.request);
  ATTUNE_RETURN_IF_ERROR(Commit(std::move(change)));  // job may be gone from here on
  if (was_active) {
    ports_.tokens->Remove(RunName(id, generation));
    ports_.rendezvous->CloseRun(RunName(id, generation));
  }
  for (const std::string& trainer_id : stopping) {
    if (Trainer* trainer = FindTrainer(trainer_id)) {
      StopTrainer(*trainer, ending.orderly, ending.reason);
    }
  }
  if (ending.incident) ports_.telemetry->OnAttemptLost(Name(ending.incident->kind));
  return Status();
}

Controller::Ending Controller::PauseEnding(const JobRecord& record, const std::string& reason) {
  Ending ending;
  if (record.resume_requested) {
    ending.event = JobEvent::kRequeued;
    ending.event_type = "resumed";
    ending.reason = "waits for slots";
    return ending;
  }
  ending.event = JobEvent::kPaused;
  ending.event_type = "paused";
  ending.pause_cause = PauseCause::kUser;
  ending.reason = reason;
  return ending;
}

Status Controller::Fail(OpenJob& job, const Failure& failure,
                        const std::vector<std::string>& exited_trainers) {
  Ending ending;
  const bool pausing = job.record.pause_requested;  // it was to stop anyway
  if (pausing) {
    ending = PauseEnding(job.record, "paused by the user, without a new checkpoint (" +
                                         Describe(failure) + "); resumes from step " +
                                         std::to_string(job.record.checkpoint_step));
  }
  ending.incident = failure;
  ending.exited_trainers = exited_trainers;
  if (pausing) return EndAttempt(job, std::move(ending));
  if (failure.kind == Failure::Kind::kNoMemory) ending.avoided = NodesTooSmall(job.record.job);
  if (!ending.avoided.empty()) {
    ending.event = JobEvent::kRequeued;
    ending.event_type = "requeued";
    ending.reason = "tried where there is more memory, because " + Describe(failure);
    return EndAttempt(job, std::move(ending));
  }
  RetryPolicy policy = options_.retry;
  policy.max_restarts = MaxRestarts(job.record.job.spec());
  const LostInRow before{job.record.job.failures_in_row(), job.record.job.losses_in_row()};
  RetryDecision decision =
      DecideRetry(failure, before, policy, ports_.clock->Now(), Jitter(random_));
  ending.event = decision.event;
  ending.event_type = decision.event == JobEvent::kFailed   ? "ended"
                      : decision.event == JobEvent::kPaused ? "paused"
                                                            : "requeued";
  ending.reason = decision.reason;
  ending.not_before = decision.not_before;
  ending.counted = decision.counted;
  if (decision.event == JobEvent::kPaused) ending.pause_cause = PauseCause::kLosses;
  if (decision.event == JobEvent::kFailed) ending.pause_cause = FailsAgain(job.record, failure);
  if (failure.kind != Failure::Kind::kNoSpace) return EndAttempt(job, std::move(ending));
  ending.pause_cause = PauseCause::kNoSpace;
  auto free = ports_.free_bytes(CheckpointFolder(job.record));
  const uint64_t free_now = free.ok() ? *free : 0;
  const uint32_t pauses = job.record.no_space_pauses;
  ending.not_before = ports_.clock->Now() + SpaceRetry(pauses);
  ending.also = [free_now, pauses](Transaction&, JobRecord* record) {
    record->free_bytes_wanted = FreeBytesWanted(free_now, pauses);
    record->no_space_pauses = pauses + 1;
    return Status();
  };
  return EndAttempt(job, std::move(ending));
}

// For a job whose attempt was refused for want of memory; see larger_nodes.h.
std::vector<std::string> Controller::NodesTooSmall(const v1::Job& job) {
  std::vector<std::string> placed;
  for (const v1::Placement& placement : job.placements()) placed.push_back(placement.node());
  std::vector<NodeMemory> nodes;
  for (const auto& [name, entry] : nodes_.entries()) {
    nodes.push_back({name, entry.node.device(), entry.node.memory_bytes(), entry.node.slots(),
                     nodes_.Ready(name, Now())});
  }
  return jobs::NodesTooSmall(placed, RanksOf(job).min(),
                             {job.avoided_nodes().begin(), job.avoided_nodes().end()}, nodes);
}

void Controller::StopTrainer(Trainer& trainer, bool orderly, const std::string& reason) {
  if (orderly && trainer.attached) {
    v1::TrainerCommand command;
    command.mutable_exit()->set_reason(reason);
    ports_.trainers->Send(trainer.record.id, command);
    trainer.kill_at = Now() + options_.exit_grace;
    return;
  }
  v1::StopTrainer stop;
  stop.set_trainer_id(trainer.record.id);
  stop.set_grace_seconds(options_.kill_grace_seconds);
  stop.set_reason(reason);
  ports_.launcher->Stop(trainer.record.node, stop);
  trainer.kill_at = Now() + options_.exit_grace;  // asked again, should the message be lost
}

// The trainer's process is gone. failure says how, for the case that its attempt needed it.
Status Controller::TrainerEnded(Trainer& trainer, const Failure& failure) {
  const std::string id = trainer.record.id;
  OpenJob* job = FindOpenJob(trainer.record.job_id);
  if (job != nullptr && IsOfCurrentAttempt(trainer.record, *job) &&
      trainer.record.state != TrainerState::kStopping &&
      trainer.record.done_task_id != MainTaskId(job->record) &&
      job->record.phase != Phase::kRegistering) {
    return Fail(*job, failure, {id});
  }
  TrainerRecord exited = trainer.record;
  exited.state = TrainerState::kExited;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) {
    SaveTrainer(transaction, exited);
    return Status();
  }));
  Forget(id);
  return Status();
}

}  // namespace attune::jobs
