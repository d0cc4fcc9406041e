// The data of an attempt is tokenized by all its ranks.

#include <algorithm>

#include "common/base/text.h"
#include "coordinator/jobs/controller.h"

namespace attune::jobs {
namespace {

// Progress is committed, as watches read events; more often than a person looks is of no use.
constexpr std::chrono::milliseconds kShowEvery{1000};
// A rate of less than this says little.
constexpr std::chrono::milliseconds kRateAfter{1000};

}  // namespace

void Controller::StartPreparing(OpenJob& job) {
  Change change = IntoPhase(job.record, Phase::kPreparing, ports_.clock->Now());
  change.record.job.set_reason("prepares the data");
  const uint32_t ranks = job.record.job.ranks();
  change.events.push_back({"preparing", "all trainers are there; " + CountOf(ranks, "rank") +
                                            (ranks == 1 ? " prepares" : " prepare") + " the data"});
  const std::string id = job.record.job.id();
  if (!Commit(std::move(change)).ok()) return;
  job.task_since = Now();
  job.prepare_since.reset();
  job.prepare_shown = {};
  for (Trainer* trainer : TrainersOf(job.record)) {
    trainer->progress = {};
    SendTask(job, *trainer);
    if (FindOpenJob(id) == nullptr) return;  // its inputs are gone: it has failed
  }
}

bool Controller::IsPrepared(const JobRecord& record) {
  const std::string task_id = PrepareTaskId(record);
  const std::vector<Trainer*> trainers = TrainersOf(record);
  return trainers.size() == record.job.ranks() &&
         std::ranges::all_of(trainers, [&](const Trainer* trainer) {
           return trainer->record.done_task_id == task_id;
         });
}

// Each rank counts what all have finished as far as it sees, and its own work in progress. They go
// from phase to phase at about the same time; the first that has something to say names it.
Controller::Prepared Controller::SumPrepared(const JobRecord& record) {
  Prepared sum;
  double finished = 0, own = 0;
  for (const Trainer* trainer : TrainersOf(record)) {
    const Progress& progress = trainer->progress;
    if (progress.total <= 0) continue;
    if (sum.phase.empty()) sum.phase = progress.phase;
    if (progress.phase != sum.phase) continue;
    finished = std::max(finished, progress.done - progress.own);
    own += progress.own;
    sum.total = std::max(sum.total, progress.total);
  }
  sum.done = std::min(finished + own, sum.total);
  return sum;
}

void Controller::ShowPrepared(OpenJob& job) {
  const Prepared sum = SumPrepared(job.record);
  if (sum.total <= 0) return;
  const Time now = Now();
  const v1::JobProgress& shown = job.record.job.progress();
  const bool new_phase = shown.phase() != sum.phase;
  const double done = new_phase ? sum.done : std::max(sum.done, shown.done());
  if (new_phase || !job.prepare_since) {
    job.prepare_since = now;
    job.prepare_from = done;
  }
  const bool news = new_phase || done > shown.done() || shown.total() != sum.total;
  const bool early = job.prepare_shown != Time() && now - job.prepare_shown < kShowEvery;
  if (!news || (early && !new_phase && done < sum.total)) return;
  Change change;
  change.record = job.record;
  v1::JobProgress* progress = change.record.job.mutable_progress();
  progress->set_phase(sum.phase);
  progress->set_done(done);
  progress->set_total(sum.total);
  progress->clear_seconds_left();
  const Duration elapsed = std::chrono::duration_cast<Duration>(now - *job.prepare_since);
  if (elapsed >= kRateAfter && done > job.prepare_from) {
    const double seconds = std::chrono::duration<double>(elapsed).count();
    progress->set_seconds_left(seconds * (sum.total - done) / (done - job.prepare_from));
  }
  change.record.job.set_reason(sum.phase);
  change.events.push_back({"progress", ""});
  job.prepare_shown = now;
  (void)Commit(std::move(change));
}

}  // namespace attune::jobs
