// Why a job is where it is, and what would let it go on.

#include <algorithm>

#include "common/base/text.h"
#include "coordinator/jobs/checkpoints.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace {

void ExplainQueued(const scheduling::Plan& plan, v1::JobExplanation* answer) {
  const auto wait = plan.waits.find(answer->job_id());
  if (wait == plan.waits.end()) return answer->set_summary("is being placed now");
  answer->set_summary(wait->second.summary);
  for (const std::string& reason : wait->second.reasons) answer->add_reasons(reason);
  for (const std::string& unblock : wait->second.unblocks) answer->add_unblocks(unblock);
}

std::string Places(const v1::Job& job) {
  std::string where;
  for (const v1::Placement& placement : job.placements()) {
    where += (where.empty() ? "" : ", ") + ("rank " + std::to_string(placement.rank())) + " on " +
             placement.node() + " slot " + std::to_string(placement.slot());
  }
  return where;
}

// Where an attempt after this end begins.
std::string NextStart(const JobRecord& record, bool has_checkpoint) {
  if (record.job.kind() != v1::Job::TRAIN) return "it starts anew";
  if (has_checkpoint) {
    return "it goes on from its last checkpoint" +
           (record.checkpoint_step > 0 ? ", of step " + std::to_string(record.checkpoint_step)
                                       : std::string());
  }
  return record.checkpoint_step > 0 ? "it starts from step 0, as its checkpoints were removed"
                                    : "it starts from step 0, as it has no checkpoint";
}

void ExplainFailed(const JobRecord& record, const std::filesystem::path& storage,
                   v1::JobExplanation* answer) {
  const std::string resume = "`attune job resume " + record.job.id() + "`";
  const std::filesystem::path run = RunFolder(storage, record.job.id());
  if (record.pause_cause == PauseCause::kInput) {
    answer->add_unblocks(
        "submit it again with the change: what a job was submitted with is fixed, and resumed it "
        "would fail the same way");
  } else if (record.pause_cause == PauseCause::kMemory) {
    answer->add_unblocks(
        "submit it again with the change, or start a worker with more memory and then " + resume);
  } else {
    answer->add_unblocks("mend the cause, then " + resume + ": " +
                         NextStart(record, HasCheckpoint(run / "checkpoints")));
  }
  if (HasCheckpoint(run / "best")) {
    answer->add_unblocks("the weights of its best evaluation are in " + (run / "best").string() +
                         ", for a while");
  }
}

}  // namespace

Result<v1::JobExplanation> Controller::Explain(const std::string& id_or_name) {
  JobRecord record;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(const v1::Job job, FindJob(transaction, id_or_name));
    ATTUNE_ASSIGN_OR_RETURN(record, LoadJob(transaction, job.id()));
    return Status();
  }));
  const v1::Job& job = record.job;
  v1::JobExplanation answer;
  answer.set_job_id(job.id());
  answer.set_state(job.state());
  answer.set_summary(job.reason());
  const OpenJob* open = FindOpenJob(job.id());
  if (job.state() == v1::Job::QUEUED && open != nullptr) {
    ExplainQueued(scheduling::MakePlan(View(Now())), &answer);
  } else if (IsActive(job.state())) {
    ExplainActive(record, open, &answer);
  } else if (job.state() == v1::Job::FAILED) {
    ExplainFailed(record, options_.storage, &answer);
  } else if (job.state() == v1::Job::PAUSED) {
    answer.add_unblocks(record.pause_cause == PauseCause::kNoSpace
                            ? "free space on the storage; it then goes on by itself"
                            : "`attune job resume " + job.id() + "`");
  }
  if (job.incidents_size() > 0) {
    const v1::Incident& last = job.incidents(job.incidents_size() - 1);
    answer.add_reasons("last incident: attempt " + std::to_string(last.generation()) +
                       (last.rank() < 0 ? "" : ", rank " + std::to_string(last.rank()) + " on ") +
                       (last.rank() < 0 ? "" : last.node()) + ": " + last.cause());
  }
  return answer;
}

void Controller::ExplainActive(const JobRecord& record, const OpenJob* open,
                               v1::JobExplanation* answer) {
  const v1::Job& job = record.job;
  answer->add_reasons("attempt " + std::to_string(job.generation()) + ": " + Places(job));
  const bool works = record.phase == Phase::kPreparing || record.phase == Phase::kWorking;
  if (works && open != nullptr) {
    const auto silent = Now() - SilenceOf(*open).since;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(silent).count();
    answer->add_reasons("last progress " + CountOf(static_cast<uint64_t>(seconds), "second") +
                        " ago");
  }
  if (job.restarts() > 0) {
    answer->add_reasons(CountOf(job.restarts(), "restart") + " so far; " +
                        std::to_string(job.failures_in_row()) + " of " +
                        std::to_string(MaxRestarts(job.spec())) +
                        " allowed since the last new checkpoint");
  }
}

}  // namespace attune::jobs
