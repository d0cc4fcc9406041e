// What workers say, and what silence means.

#include <algorithm>
#include <set>

#include "common/base/text.h"
#include "common/log/log.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace {

std::string Seconds(std::chrono::nanoseconds duration) {
  return CountOf(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(duration).count()),
      "second");
}
constexpr int kCoordinatorAwayExit = 3;  // of attune-trainer: it heard nothing from us for too long

}  // namespace

void Controller::OnWorkerRegistered(const v1::RegisterWorker& worker, const std::string& address) {
  const Time now = Now();
  const v1::Node node = nodes_.Register(worker, address, now).node;
  Status status = ports_.database->Write([&](Transaction& transaction) {
    SaveNode(transaction, node);
    transaction.AppendEvent("node", node.name(), "registered",
                            CountOf(node.slots(), "slot") + " (" + node.device() + ")",
                            node.SerializeAsString());
    return Status();
  });
  if (!status.ok()) spdlog::error("node={} not stored: {}", node.name(), status.ToString());
  v1::WorkerCommand command;
  auto* registered = command.mutable_registered();
  const auto interval = options_.liveness.interval;
  registered->set_heartbeat_milliseconds(static_cast<uint32_t>(interval.count()));
  registered->set_heartbeat_seconds(
      static_cast<uint32_t>(std::chrono::ceil<std::chrono::seconds>(interval).count()));
  registered->set_cluster_id(options_.cluster_id);
  registered->set_cluster_id_file(options_.storage / "cluster-id");
  std::vector<std::string> unknown;
  SeeRunning(worker.node(), worker.running(), &unknown);
  // A worker that starts lists all it has: what has dialled in before and is not listed died with
  // the worker's last life. One that was not seen yet may be on its way, for a heartbeat or so.
  const auto on_its_way = std::min(options_.missing_timeout, options_.liveness.interval * 3 / 2);
  for (auto& [id, trainer] : trainers_) {
    if (trainer.record.node != worker.node() || !trainer.missing_since) continue;
    trainer.missing_since = now - options_.missing_timeout;
    if (trainer.record.state == TrainerState::kStarting) *trainer.missing_since += on_its_way;
  }
  for (const std::string& id : unknown) registered->add_unknown_trainer_ids(id);
  spdlog::info("node={} registered slots={} running={} unknown={}", worker.node(), worker.slots(),
               worker.running_size(), unknown.size());
  ports_.workers->Send(worker.node(), command);
}

void Controller::OnHeartbeat(const std::string& node, const v1::Heartbeat& heartbeat) {
  const auto known = nodes_.entries().find(node);
  const std::string before = known == nodes_.entries().end() ? "" : known->second.trouble;
  if (!nodes_.Heartbeat(node, heartbeat.not_ready(), Now())) {
    ports_.workers->Disconnect(node);
    return;
  }
  if (heartbeat.not_ready() != before) {
    spdlog::warn("node={} {}", node,
                 heartbeat.not_ready().empty() ? "is ready again"
                                               : "is not ready: " + heartbeat.not_ready());
  }
  std::vector<std::string> unknown;
  SeeRunning(node, heartbeat.running(), &unknown);
  for (const std::string& id : unknown) {
    v1::StopTrainer stop;
    stop.set_trainer_id(id);
    stop.set_reason("the coordinator does not know this trainer");
    ports_.launcher->Stop(node, stop);
  }
}

// Compares what a worker runs with what it should run.
void Controller::SeeRunning(const std::string& node,
                            const google::protobuf::RepeatedPtrField<v1::RunningTrainer>& running,
                            std::vector<std::string>* unknown) {
  std::set<std::string> seen;
  for (const v1::RunningTrainer& listed : running) {
    Trainer* trainer = FindTrainer(listed.trainer_id());
    if (trainer == nullptr || trainer->record.node != node) {
      unknown->push_back(listed.trainer_id());
      continue;
    }
    seen.insert(listed.trainer_id());
    trainer->missing_since.reset();
  }
  for (auto& [id, trainer] : trainers_) {
    if (trainer.record.node != node || seen.contains(id) || trainer.missing_since) continue;
    trainer.missing_since = Now();
  }
}

void Controller::OnTrainerExited(const std::string& node, const v1::TrainerExited& exited) {
  Flush();
  if (Trainer* trainer = FindTrainer(exited.trainer_id())) {
    Failure failure;
    failure.rank = static_cast<int>(trainer->record.rank);
    failure.node = trainer->record.node;
    failure.cause = DescribeExit(exited.signaled(), exited.code(), exited.memory_peak_bytes());
    const bool gave_up = !exited.signaled() && exited.code() == kCoordinatorAwayExit;
    if (gave_up || IsStop(exited.signaled(), exited.code())) failure.kind = Failure::Kind::kStopped;
    if (!exited.start_error().empty()) {
      failure.kind = Failure::Kind::kNotStarted;
      failure.cause = "the trainer did not start: " + exited.start_error();
    }
    failure.log_tail.assign(exited.log_tail().begin(), exited.log_tail().end());
    Status status = TrainerEnded(*trainer, failure);
    if (!status.ok()) return;  // not acknowledged: the worker says it again
  }
  v1::WorkerCommand command;
  command.mutable_exit_acknowledged()->set_trainer_id(exited.trainer_id());
  ports_.workers->Send(node, command);
}

// Every trainer of a lost node counts as ended. If one lives on, its worker will be told to kill
// it.
void Controller::LoseNode(const std::string& node) {
  const std::string silence =
      std::to_string(nodes_.Silence(node, Now()).count()) + " s without a heartbeat";
  spdlog::warn("node={} lost: {}", node, silence);
  ports_.workers->Disconnect(node);
  v1::Node lost = nodes_.entries().at(node).node;
  lost.set_state(v1::Node::LOST);
  SetTimestamp(lost.mutable_last_heartbeat(), ports_.clock->Now() - nodes_.Silence(node, Now()));
  (void)ports_.database->Write([&](Transaction& transaction) {
    SaveNode(transaction, lost);
    transaction.AppendEvent("node", node, "lost", silence, lost.SerializeAsString());
    return Status();
  });
  for (auto& [id, trainer] : trainers_) {
    if (trainer.record.node == node) trainer.missing_since = Now() - options_.missing_timeout;
  }
}

// A node that will not come back, as those of a cluster that grows and shrinks, leaves the list;
// its events stay.
void Controller::ForgetNodes(Time now) {
  for (const std::string& node : nodes_.LostFor(options_.forget_lost_after, now)) {
    const bool in_use = std::any_of(trainers_.begin(), trainers_.end(), [&](const auto& entry) {
      return entry.second.record.node == node;
    });
    if (in_use) continue;  // until CheckTrainers has ended them
    const std::string silence =
        "lost, " + Seconds(nodes_.Silence(node, now)) + " without a heartbeat";
    Status status = ports_.database->Write([&](Transaction& transaction) {
      DeleteNode(transaction, node);
      transaction.AppendEvent("node", node, "forgotten", silence, "");
      return Status();
    });
    if (!status.ok()) continue;  // tried again
    spdlog::info("node={} forgotten: {}", node, silence);
    nodes_.Erase(node);
  }
}

void Controller::CheckTrainers(Time now) {
  std::map<std::string, std::vector<std::string>> gone;  // by job
  for (auto& [id, trainer] : trainers_) {
    if (trainer.missing_since && now - *trainer.missing_since >= options_.missing_timeout) {
      gone[trainer.record.job_id].push_back(id);
    } else if (trainer.kill_at && now >= *trainer.kill_at) {
      StopTrainer(trainer, false, "it did not end by itself");
    } else if (trainer.resend_at && now >= *trainer.resend_at) {
      trainer.resend_at.reset();
      if (OpenJob* job = FindOpenJob(trainer.record.job_id);
          job != nullptr && trainer.attached && IsOfCurrentAttempt(trainer.record, *job)) {
        SendTask(*job, trainer);
      }
    }
  }
  for (const auto& [job_id, ids] : gone) {
    const Trainer* first = FindTrainer(ids.front());
    const std::string node = first->record.node;
    Failure failure{Failure::Kind::kWorker, -1, node, "", {}};
    auto entry = nodes_.entries().find(node);
    if (entry == nodes_.entries().end() || entry->second.lost) {
      failure.cause = "worker lost: " + node + " sent no heartbeat for " +
                      std::to_string(nodes_.Silence(node, now).count()) + " s";
    } else if (first->record.state == TrainerState::kStarting) {
      failure.kind = Failure::Kind::kNotStarted;
      failure.cause = "the worker on " + node + " does not run it: it was not told in time";
    } else {
      failure.rank = static_cast<int>(first->record.rank);
      failure.cause = "the worker was restarted and the trainer is gone";
    }
    OpenJob* job = FindOpenJob(job_id);
    const bool needed = job != nullptr && IsActive(job->record.job.state()) &&
                        job->record.phase != Phase::kRegistering &&
                        first->record.state != TrainerState::kStopping &&
                        IsOfCurrentAttempt(first->record, *job);
    if (needed) {
      (void)Fail(*job, failure, ids);
      continue;
    }
    for (const std::string& id : ids) {
      if (Trainer* trainer = FindTrainer(id)) (void)TrainerEnded(*trainer, failure);
    }
  }
}

// Longer than it takes to find out that a worker is lost.
std::chrono::milliseconds Controller::LossTime() const {
  return options_.liveness.lost_after + options_.missing_timeout;
}

// Whether the cause of a lost peer may still show: one of the ranks is not where it should be.
bool Controller::PeerIsAway(const OpenJob& job) {
  for (const Trainer* trainer : TrainersOf(job.record)) {
    if (!trainer->attached || trainer->missing_since) return true;
  }
  return false;
}

Controller::Silence Controller::SilenceOf(const OpenJob& job) {
  Silence silence{job.task_since, nullptr, {}};
  const std::string task_id =
      job.record.phase == Phase::kPreparing ? PrepareTaskId(job.record) : MainTaskId(job.record);
  for (const Trainer* trainer : TrainersOf(job.record)) {
    const Time since = std::max(job.task_since, trainer->progress.at);
    silence.since = std::max(silence.since, since);
    const bool has_task = trainer->record.done_task_id != task_id;
    if (!has_task || (silence.first != nullptr && silence.first_since <= since)) continue;
    silence.first = trainer;
    silence.first_since = since;
  }
  return silence;
}

// All ranks are there and none gets on: one of them hangs. The one that fell silent first is named,
// as the others wait for it.
bool Controller::FailStalled(OpenJob& job, Time now) {
  if (job.record.phase != Phase::kPreparing && job.record.phase != Phase::kWorking) return false;
  const Silence silence = SilenceOf(job);
  if (silence.first == nullptr || now - silence.since < options_.progress_timeout) return false;
  const Progress& last = silence.first->progress;
  std::string cause = "hangs: no rank made progress for " + Seconds(options_.progress_timeout);
  if (last.at >= job.task_since && !last.phase.empty()) {
    cause += "; its own last was \"" + last.phase + "\" at step " + std::to_string(last.step) +
             ", " + Seconds(now - last.at) + " ago";
  } else {
    cause += "; it said nothing since its task began, " + Seconds(now - job.task_since) + " ago";
  }
  const TrainerRecord& trainer = silence.first->record;
  const Failure failure{
      Failure::Kind::kTrainer, static_cast<int>(trainer.rank), trainer.node, cause, {}};
  if (Fail(job, failure).ok()) ports_.telemetry->OnStall();
  return true;
}

void Controller::CheckJobs(Time now) {
  std::vector<std::string> active;
  for (const auto& [id, job] : jobs_) {
    if (IsActive(job.record.job.state())) active.push_back(id);
  }
  for (const std::string& id : active) {
    Advance(id);  // what could not be committed before is tried again
    OpenJob* open = FindOpenJob(id);
    if (open == nullptr || !IsActive(open->record.job.state())) continue;
    OpenJob& job = *open;
    if (job.record.phase == Phase::kRegistering) continue;
    const std::string overdue = job.record.pause_requested ? PauseOverdue(job, now) : "";
    if (!overdue.empty()) {
      (void)Fail(job, {Failure::Kind::kTrainer, -1, "", overdue, {}});
      continue;
    }
    if (FailStalled(job, now)) continue;
    const bool attaching = job.record.phase == Phase::kAttaching;
    for (Trainer* trainer : TrainersOf(job.record)) {
      if (trainer->attached) continue;
      const Time since = attaching ? job.attempt_since : trainer->detached_since;
      const auto limit = attaching ? options_.attach_timeout : options_.reattach_timeout;
      if (now - since < limit) continue;
      Failure failure{
          Failure::Kind::kTrainer,
          static_cast<int>(trainer->record.rank),
          trainer->record.node,
          (attaching ? "did not dial in within " : "lost contact for ") + Seconds(limit),
          {}};
      (void)Fail(job, failure);
      break;
    }
  }
}

void Controller::CheckSpace(Time now) {
  std::vector<std::string> waiting;
  for (const auto& [id, job] : jobs_) {
    if (job.record.pause_cause == PauseCause::kNoSpace) waiting.push_back(id);
  }
  ports_.database->RestoreReserve();
  for (const std::string& id : waiting) {
    OpenJob& job = jobs_.at(id);
    auto free = ports_.free_bytes(CheckpointFolder(job.record));
    const bool room = free.ok() && *free >= job.record.free_bytes_wanted;
    if (!room && ports_.clock->Now() < job.record.not_before) continue;
    const std::string why =
        room ? "the storage has room again" : "tried again, for all that is known";
    Change change;
    change.record = job.record;
    if (!ApplyEvent(&change.record, JobEvent::kResumed, why).ok()) continue;
    change.record.pause_cause = PauseCause::kNone;
    change.record.not_before = TimePoint();
    change.events.push_back({"resumed", why});
    (void)Commit(std::move(change));
  }
}

}  // namespace attune::jobs
