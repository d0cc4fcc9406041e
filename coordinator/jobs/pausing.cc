// An attempt that is asked to pause: it writes a checkpoint first.

#include <algorithm>

#include "common/base/text.h"
#include "coordinator/jobs/controller.h"

namespace attune::jobs {
namespace {

// What rank 0 says when it begins a checkpoint, and then nothing until that is durable.
constexpr std::string_view kSaving = "saving";

std::string Seconds(std::chrono::milliseconds duration) {
  return CountOf(static_cast<uint64_t>(duration.count() / 1000), "second");
}

}  // namespace

// Trainers checkpoint first; the attempt ends when rank 0 says so, or at the deadline.
Status Controller::PauseActive(OpenJob& job, const RequestKey& key) {
  const bool again = job.record.pause_requested;  // after a resume: the trainers stop already
  Change change;
  change.record = job.record;
  change.record.pause_requested = true;
  change.record.resume_requested = false;
  change.record.job.set_reason("pausing: writes a checkpoint");
  change.events.push_back({"pausing", "asked to checkpoint and stop"});
  change.request = key;
  ATTUNE_RETURN_IF_ERROR(Commit(std::move(change)));
  if (again) return Status();
  job.pause_since = Now();
  for (Trainer* trainer : TrainersOf(job.record)) {
    v1::TrainerCommand command;
    command.mutable_stop()->set_task_id(MainTaskId(job.record));
    command.mutable_stop()->set_checkpoint(true);
    command.mutable_stop()->set_reason("paused by the user");
    ports_.trainers->Send(trainer->record.id, command);
  }
  return Status();
}

// The trainers cannot be told to go on: they stop, and the job is queued again at once.
Status Controller::ResumePausing(OpenJob& job, const RequestKey& key) {
  Change change;
  change.record = job.record;
  change.record.resume_requested = true;
  change.record.job.set_reason("writes a checkpoint and goes on from there");
  change.events.push_back({"resuming", "resumed by the user while it pauses"});
  change.request = key;
  return Commit(std::move(change));
}

// Why the checkpoint of a pause is waited for no longer; empty while it is. Rank 0 says something
// after each step and when it begins to save; between the two it may be silent for as long as its
// steps take.
std::string Controller::PauseOverdue(const OpenJob& job, Time now) {
  const auto limit = std::max(options_.pause_limit, options_.pause_timeout);
  if (now - job.pause_since >= limit) {
    return "it was not written within " + Seconds(limit) + ", see pause_limit of the coordinator";
  }
  const v1::Job& record = job.record.job;
  const Trainer* writer = FindTrainer(TrainerId(record.id(), record.generation(), 0));
  if (writer != nullptr && writer->progress.phase == kSaving) return "";
  const Time heard =
      writer == nullptr ? job.pause_since : std::max(job.pause_since, writer->progress.at);
  const auto silence = std::max(options_.pause_timeout, 2 * job.step_took);
  if (now - heard < silence) return "";
  return "rank 0 said nothing of its step or its checkpoint for " + Seconds(silence) +
         ", see pause_timeout of the coordinator";
}

}  // namespace attune::jobs
