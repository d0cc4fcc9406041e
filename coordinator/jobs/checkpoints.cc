#include "coordinator/jobs/checkpoints.h"

#include <vector>

#include "common/log/log.h"
#include "coordinator/jobs/record.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace fs = std::filesystem;

bool CheckpointsAreDue(const v1::Job& job, TimePoint now, Duration kept) {
  if (!IsFinal(job.state())) return false;
  if (job.state() == v1::Job::SUCCEEDED) return true;
  return now - GetTimestamp(job.ended()) >= kept;
}

bool OutputIsDue(const v1::Job& job, TimePoint now, Duration kept) {
  const bool asked_for = job.update().empty() && job.kind() != v1::Job::EMBED;
  return asked_for && IsFinal(job.state()) && now - GetTimestamp(job.ended()) >= kept;
}

fs::path RunFolder(const fs::path& storage, const std::string& job_id) {
  return storage / "runs" / job_id;
}

bool HasCheckpoint(const fs::path& folder) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    // It gets its name when it is whole.
    if (it->path().filename().string().starts_with("step-")) return true;
  }
  return error && error != std::errc::no_such_file_or_directory;
}

Status RemoveCheckpoints(Database* database, const fs::path& storage, const std::string& job_id,
                         TimePoint now, Duration kept) {
  const fs::path run = RunFolder(storage, job_id);
  const fs::path folder = run / "checkpoints", best = run / "best";
  const fs::path measured = run / "measured", output = run / "output.jsonl";
  std::error_code error;
  const auto exists = [&](const fs::path& path) { return fs::exists(path, error); };
  if (!exists(folder) && !exists(best) && !exists(measured) && !exists(output)) return Status();
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(job, FindJob(transaction, job_id));
    return Status();
  }));
  if (job.id() != job_id || !IsFinal(job.state())) return Status();
  fs::remove_all(measured, error);
  if (OutputIsDue(job, now, kept)) fs::remove(output, error);
  if ((exists(folder) || exists(best)) && CheckpointsAreDue(job, now, kept)) {
    for (const fs::path& weights : {best, folder}) {
      fs::remove_all(weights, error);
      if (error) return ErrnoStatus(error.value(), "remove " + weights.string());
    }
    spdlog::info("job={} its checkpoints are removed: it has {}", job_id, StateName(job.state()));
  }
  fs::remove(run, error);  // only when it is empty
  return Status();
}

void SweepCheckpoints(Database* database, const fs::path& storage, TimePoint now, Duration kept) {
  std::error_code error;
  std::vector<std::string> ids;
  for (fs::directory_iterator it(storage / "runs", error), end; !error && it != end;
       it.increment(error)) {
    ids.push_back(it->path().filename().string());
  }
  for (const std::string& id : ids) {
    Status status = RemoveCheckpoints(database, storage, id, now, kept);
    // A folder of no job of ours is left alone.
    if (!status.ok() && status.code() != StatusCode::kNotFound) {
      spdlog::warn("checkpoints of {} stay for now: {}", id, status.ToString());
    }
  }
}

}  // namespace attune::jobs
