// What trainers say.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/files.h"
#include "common/base/utf8.h"
#include "common/log/log.h"
#include "coordinator/jobs/checkpoints.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace {

constexpr size_t kPhaseBytesMax = 100;
constexpr int kWarningsMax = 20;

std::string DescribePoint(const v1::MetricPoint& point, const v1::Job& job) {
  char text[128];
  if (point.has_validation_loss() && !point.has_loss()) {
    std::snprintf(text, sizeof text, "step %u: validation loss %.4f", point.step(),
                  point.validation_loss());
  } else {
    std::snprintf(text, sizeof text, "step %u of %u: loss %.4f", point.step(), job.total_steps(),
                  point.loss());
  }
  return text;
}

void TakeMetrics(const v1::MetricPoint& point, v1::Job* job) {
  auto& metrics = *job->mutable_metrics();
  if (point.has_loss()) metrics["loss"] = point.loss();
  if (point.has_learning_rate()) metrics["learning_rate"] = point.learning_rate();
  if (point.has_grad_norm()) metrics["grad_norm"] = point.grad_norm();
  if (point.has_penalty()) metrics["penalty"] = point.penalty();
  if (point.has_tokens() && point.seconds() > 0) {
    metrics["tokens_per_second"] = point.tokens() / point.seconds();
  }
  if (point.has_accuracy()) metrics["accuracy"] = point.accuracy();
  if (point.has_predicted_memory()) {
    metrics["predicted_memory"] = static_cast<double>(point.predicted_memory());
  }
  if (point.has_peak_memory()) {
    metrics["peak_memory"] = static_cast<double>(point.peak_memory());
  }
  if (point.has_validation_loss()) metrics["validation_loss"] = point.validation_loss();
  if (point.has_validation_accuracy()) metrics["validation_accuracy"] = point.validation_accuracy();
  if (point.has_validation_accuracy() && !metrics.contains("first_validation_accuracy")) {
    metrics["first_validation_accuracy"] = point.validation_accuracy();
  }
  if (point.has_validation_loss() && !metrics.contains("first_validation_loss")) {
    metrics["first_validation_loss"] = point.validation_loss();
  }
}

// An export is written to a folder of the user's: room on the storage would not help it.
void BlameTarget(const v1::ExportRequest& task, Failure* failure) {
  failure->kind = Failure::Kind::kInvalid;
  failure->cause = "the disk of " + task.folder() + " on " + failure->node +
                   " is full: " + failure->cause +
                   "; free space there, or export to another folder";
}

Failure ToFailure(const TrainerRecord& trainer, const v1::Job& job) {
  Failure failure;
  failure.rank = static_cast<int>(trainer.rank);
  failure.node = trainer.node;
  failure.cause = trainer.failed->message();
  switch (trainer.failed->kind()) {
    case v1::TaskFailed::INVALID:
      failure.kind = Failure::Kind::kInvalid;
      break;
    case v1::TaskFailed::NO_SPACE:
      failure.kind = Failure::Kind::kNoSpace;
      if (job.kind() == v1::Job::EXPORT) BlameTarget(job.task().export_(), &failure);
      break;
    case v1::TaskFailed::NO_MEMORY:
      failure.kind = Failure::Kind::kNoMemory;
      break;
    case v1::TaskFailed::KIND_UNSPECIFIED:  // a stop that we did not ask for
      failure.kind = Failure::Kind::kStopped;
      break;
    case v1::TaskFailed::STORAGE:
      failure.kind = Failure::Kind::kStorage;
      break;
    case v1::TaskFailed::PEER_LOST:
      failure.kind = Failure::Kind::kPeerLost;
      break;
    default:
      failure.kind = Failure::Kind::kTrainer;
      break;
  }
  return failure;
}

// Makes bytes all that the file has after offset, durably.
Status WriteAt(int fd, uint64_t offset, std::string_view bytes, const std::string& path) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return ErrnoStatus(errno, path);
  if (static_cast<uint64_t>(info.st_size) < offset) {
    return DataLoss(path + " has " + std::to_string(info.st_size) + " of the " +
                    std::to_string(offset) + " bytes that were written to it");
  }
  const bool longer = static_cast<uint64_t>(info.st_size) > offset;
  if (longer && ftruncate(fd, static_cast<off_t>(offset)) != 0) return ErrnoStatus(errno, path);
  while (!bytes.empty()) {
    const ssize_t count = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, path);
    offset += static_cast<uint64_t>(count);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return fsync(fd) == 0 ? Status() : ErrnoStatus(errno, path);
}

// False when the job has it already, from an attempt before, or has enough of them.
bool AddWarning(const std::string& warning, v1::Job* job) {
  if (job->warnings_size() >= kWarningsMax) return false;
  for (const std::string& known : job->warnings()) {
    if (known == warning) return false;
  }
  job->add_warnings(warning);
  return true;
}

}  // namespace

void Controller::OnTrainerHello(const v1::TrainerHello& hello) {
  const std::string& id = hello.trainer_id();
  Trainer* trainer = FindTrainer(id);
  OpenJob* job = trainer == nullptr ? nullptr : FindOpenJob(trainer->record.job_id);
  if (job == nullptr || !IsOfCurrentAttempt(trainer->record, *job) ||
      trainer->record.state == TrainerState::kStopping) {
    v1::TrainerCommand command;
    command.mutable_exit()->set_reason("this attempt is over");
    ports_.trainers->Send(id, command);
    return;
  }
  const std::string job_id = trainer->record.job_id;
  if (trainer->record.state == TrainerState::kStarting) {
    TrainerRecord running = trainer->record;
    running.state = TrainerState::kRunning;
    Status status = ports_.database->Write([&](Transaction& transaction) {
      SaveTrainer(transaction, running);
      return Status();
    });
    if (!status.ok()) {
      spdlog::error("trainer={} attach not committed: {}", id, status.ToString());
      return;  // the attach deadline looks after it
    }
    trainer->record = running;
  }
  trainer->attached = true;
  trainer->missing_since.reset();
  if (hello.next_sequence() > trainer->taken + 1) {
    spdlog::warn("trainer={} goes on at report {}, {} was expected", id, hello.next_sequence(),
                 trainer->taken + 1);
    trainer->taken = hello.next_sequence() - 1;  // it has no others any more
  }
  AcknowledgeReports(id);
  const bool working =
      job->record.phase == Phase::kPreparing || job->record.phase == Phase::kWorking;
  if (working && hello.running_task_id().empty()) trainer->resend_at = Now() + options_.resend_wait;
  if (job->record.pause_requested && !hello.running_task_id().empty()) {
    v1::TrainerCommand command;
    command.mutable_stop()->set_task_id(hello.running_task_id());
    command.mutable_stop()->set_checkpoint(true);
    ports_.trainers->Send(id, command);
  }
  Advance(job_id);
}

void Controller::OnTrainerDetached(const std::string& trainer_id) {
  Trainer* trainer = FindTrainer(trainer_id);
  if (trainer == nullptr) return;
  trainer->attached = false;
  trainer->detached_since = Now();
}

void Controller::OnTrainerMessage(const std::string& trainer_id,
                                  const v1::TrainerMessage& message) {
  Trainer* trainer = FindTrainer(trainer_id);
  if (trainer == nullptr) return;
  if (message.has_progress()) {
    NoteProgress(*trainer, message);
    return OnProgress(trainer_id, message.progress());
  }
  if (message.sequence() <= trainer->taken) return;  // sent again
  if (message.sequence() != trainer->taken + 1) {
    // One before it was turned away: acknowledging this one would acknowledge that one too.
    return ports_.trainers->Disconnect(trainer_id);
  }
  trainer->taken = message.sequence();
  NoteProgress(*trainer, message);
  pending_.push_back({trainer_id, message});
}

// Any report is a sign of life; whether it can be committed is another matter.
void Controller::NoteProgress(Trainer& trainer, const v1::TrainerMessage& message) {
  trainer.progress.at = Now();
  if (!message.has_progress()) return;
  trainer.progress.phase = Shorten(message.progress().phase(), kPhaseBytesMax);
  trainer.progress.step = message.progress().step();
  trainer.progress.done = message.progress().done();
  trainer.progress.own = message.progress().own();
  trainer.progress.total = message.progress().total();
}

// A new phase of rank 0 becomes the job's reason; the numbers within it are not worth a commit.
void Controller::OnProgress(const std::string& trainer_id, const v1::TaskProgress& progress) {
  Trainer* trainer = FindTrainer(trainer_id);
  OpenJob* job = trainer == nullptr ? nullptr : FindOpenJob(trainer->record.job_id);
  if (job == nullptr || !IsOfCurrentAttempt(trainer->record, *job)) return;
  if (job->record.phase == Phase::kPreparing) return ShowPrepared(*job);
  if (trainer->record.rank != 0 || job->record.pause_requested) return;
  const bool planned =
      progress.total_steps() > 0 && progress.total_steps() != job->record.job.total_steps();
  if (job->record.phase == Phase::kRegistering) return;
  if (!planned && (progress.phase().empty() || progress.phase() == job->shown_phase)) return;
  Flush();
  job = FindOpenJob(trainer->record.job_id);
  if (job == nullptr) return;
  Change change;
  change.record = job->record;
  if (planned) change.record.job.set_total_steps(progress.total_steps());
  if (!progress.phase().empty())
    change.record.job.set_reason(Shorten(progress.phase(), kPhaseBytesMax));
  change.events.push_back({"progress", ""});
  job->shown_phase = progress.phase();
  (void)Commit(std::move(change));
}

void Controller::Flush() {
  if (pending_.empty()) return;
  std::vector<Report> reports = std::move(pending_);
  pending_.clear();
  std::map<std::string, std::vector<const Report*>> by_job;
  for (const Report& report : reports) {
    Trainer* trainer = FindTrainer(report.trainer_id);
    OpenJob* job = trainer == nullptr ? nullptr : FindOpenJob(trainer->record.job_id);
    // Of an attempt that is over: the trainer has been told to exit.
    if (job == nullptr || !IsOfCurrentAttempt(trainer->record, *job)) continue;
    by_job[trainer->record.job_id].push_back(&report);
  }
  for (auto& [id, batch] : by_job) {
    OpenJob* job = FindOpenJob(id);
    if (job == nullptr || ApplyReports(*job, batch).ok()) continue;
    job->task_since = Now();  // trainers may have to wait for us
    for (const Report* report : batch) pending_.push_back(*report);  // tried again later
  }
}

Status Controller::ApplyReports(OpenJob& job, const std::vector<const Report*>& reports) {
  const std::string id = job.record.job.id();
  Change change;
  change.record = job.record;
  Batch batch;
  std::map<std::string, TrainerRecord> changed;
  for (const Report* report : reports) {
    Trainer* trainer = FindTrainer(report->trainer_id);
    if (trainer == nullptr) continue;
    TrainerRecord& record = changed.try_emplace(report->trainer_id, trainer->record).first->second;
    record.last_sequence = report->message.sequence();
    ApplyReport(report->message, &record, &change, &batch);
  }
  for (auto& [trainer_id, record] : changed) change.trainers.push_back(record);
  if (!batch.output.empty()) {
    const Status written = WriteOutput(&change.record, batch.output);
    // No try brings the lost lines back, but another attempt writes them again.
    if (written.code() == StatusCode::kDataLoss) {
      return Fail(job, {Failure::Kind::kTrainer, -1, "", written.message(), {}});
    }
    if (!written.ok()) {
      OutputNotWritten(job, written);  // job may be gone from here on
      return written;
    }
    job.output_failing_since.reset();
  }
  change.also = [&](Transaction& transaction, JobRecord* record) {
    v1::Job& job = record->job;
    if (!job.has_applied_seconds()) job.set_applied_seconds(AppliedSeconds(transaction, id));
    for (const v1::MetricPoint& point : batch.points) {
      job.set_applied_seconds(job.applied_seconds() + SaveMetric(transaction, id, point));
    }
    return Status();
  };
  ATTUNE_RETURN_IF_ERROR(Commit(std::move(change)));
  for (const v1::MetricPoint& point : batch.points) {
    if (!point.has_loss()) continue;
    ports_.telemetry->OnStepApplied(point);
    job.step_took = std::chrono::milliseconds(static_cast<int64_t>(1000 * point.seconds()));
  }
  for (const auto& [trainer_id, record] : changed) {
    if (Trainer* trainer = FindTrainer(trainer_id)) trainer->resend_at.reset();
    AcknowledgeReports(trainer_id);
  }
  Advance(id);
  return Status();
}

void Controller::ApplyReport(const v1::TrainerMessage& message, TrainerRecord* trainer,
                             Change* change, Batch* batch) {
  JobRecord& record = change->record;
  v1::Job& job = record.job;
  switch (message.message_case()) {
    case v1::TrainerMessage::kMetrics: {
      const v1::MetricPoint& point = message.metrics();
      batch->points.push_back(point);
      TakeMetrics(point, &job);
      if (point.has_loss()) {
        job.set_step(point.step());
        if (job.state() == v1::Job::PREPARING) {
          (void)ApplyEvent(&record, JobEvent::kStepApplied, "trains");
        }
        if (!record.pause_requested) job.set_reason("trains");
        if (!change->events.empty() && change->events.back().type == "step") {
          change->events.pop_back();  // one event for the steps of a batch
        }
      }
      change->events.push_back(
          {point.has_loss() ? "step" : "evaluated", DescribePoint(point, job)});
      return;
    }
    case v1::TrainerMessage::kCheckpoint:
      if (message.checkpoint().step() > record.checkpoint_step) ForgetLost(&job);
      record.checkpoint_step = message.checkpoint().step();
      record.no_space_pauses = 0;
      change->events.push_back(
          {"checkpoint", "checkpoint of step " + std::to_string(record.checkpoint_step)});
      return;
    case v1::TrainerMessage::kDone: {
      const v1::TaskDone& done = message.done();
      trainer->done_task_id = done.task_id();
      if (trainer->rank != 0) return;
      if (done.total_steps() > 0) job.set_total_steps(done.total_steps());
      if (done.task_id() == MainTaskId(record)) record.output_path = done.output_path();
      for (const auto& [name, value] : done.metrics()) (*job.mutable_metrics())[name] = value;
      change->events.push_back({"task-done", done.task_id() + " is done"});
      return;
    }
    case v1::TrainerMessage::kFailed:
      trainer->failed = message.failed();
      return;
    case v1::TrainerMessage::kWarning: {
      const std::string& warning = message.warning().message();
      if (AddWarning(warning, &job)) change->events.push_back({"warning", "warning: " + warning});
      return;
    }
    case v1::TrainerMessage::kOutput:
      if (trainer->rank != 0) return;
      batch->output += message.output().data();  // a piece; the trainer ends lines
      return;
    default:
      return;
  }
}

// Appends at the committed length, so that a report applied again after a crash writes the same
// bytes to the same place. kDataLoss when the file has less than was committed.
Status Controller::WriteOutput(JobRecord* record, const std::string& bytes) {
  const std::filesystem::path folder = RunFolder(options_.storage, record->job.id());
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  const std::filesystem::path path = folder / "output.jsonl";
  int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, path.string());
  Status status = WriteAt(fd, record->output_bytes, bytes, path.string());
  close(fd);
  if (status.ok() && record->output_bytes == 0) status = SyncFolder(folder);
  if (status.ok()) record->output_bytes += bytes.size();
  return status;
}

// The reports stay, to be tried again; but a full disk is the user's to mend, and a storage that
// stays away ends the attempt.
void Controller::OutputNotWritten(OpenJob& job, const Status& status) {
  if (!job.output_failing_since) {
    job.output_failing_since = Now();
    spdlog::error("job={} output not written, tried again: {}", job.record.job.id(),
                  status.ToString());
  }
  Failure failure{
      Failure::Kind::kNoSpace, -1, "", "the output was not written: " + status.message(), {}};
  if (status.code() != StatusCode::kResourceExhausted) {
    if (Now() - *job.output_failing_since < options_.output_wait) return;
    failure.kind = Failure::Kind::kStorage;
  }
  (void)Fail(job, failure);
}

void Controller::AcknowledgeReports(const std::string& trainer_id) {
  Trainer* trainer = FindTrainer(trainer_id);
  if (trainer == nullptr) return;
  v1::TrainerCommand command;
  command.mutable_acknowledged()->set_sequence(trainer->record.last_sequence);
  ports_.trainers->Send(trainer_id, command);
}

// The rank whose failure explains the attempt's. That a peer was lost says little; and in a pause,
// rank 0 writes the checkpoint and is waited for.
Controller::Trainer* Controller::FailedTrainer(const JobRecord& record) {
  Trainer* found = nullptr;
  for (Trainer* trainer : TrainersOf(record)) {
    if (!trainer->record.failed) continue;
    const v1::TaskFailed::Kind kind = trainer->record.failed->kind();
    const bool as_asked = record.pause_requested && kind == v1::TaskFailed::KIND_UNSPECIFIED;
    if (as_asked && trainer->record.rank != 0) continue;
    const bool better = found != nullptr && kind != v1::TaskFailed::PEER_LOST &&
                        found->record.failed->kind() == v1::TaskFailed::PEER_LOST;
    if (found == nullptr || better) found = trainer;
  }
  return found;
}

// Ends the attempt when a trainer has said that its task failed, unless the cause is still waited
// for. False: none has. What cannot be committed is tried again, as the record keeps the failure.
bool Controller::TakeFailure(OpenJob& job) {
  const Trainer* trainer = FailedTrainer(job.record);
  if (trainer == nullptr) return false;
  const v1::TaskFailed::Kind kind = trainer->record.failed->kind();
  const bool pausing = job.record.pause_requested;
  if (pausing && kind == v1::TaskFailed::KIND_UNSPECIFIED) {
    Ending ending = PauseEnding(job.record, "paused by the user");
    ending.orderly = true;
    (void)EndAttempt(job, std::move(ending));
  } else if (pausing || kind != v1::TaskFailed::PEER_LOST || !AwaitsCause(job)) {
    (void)Fail(job, ToFailure(trainer->record, job.record.job));
  }
  return true;
}

// Longer while a rank is not where it should be: then the cause may still show.
bool Controller::AwaitsCause(OpenJob& job) {
  if (!job.peer_lost_since) job.peer_lost_since = Now();
  auto wait = options_.peer_lost_wait;
  if (PeerIsAway(job)) wait += LossTime();
  return Now() - *job.peer_lost_since < wait;
}

}  // namespace attune::jobs
