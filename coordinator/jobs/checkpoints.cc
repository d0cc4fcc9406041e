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

namespace {

// What the folder of a job has that may be due.
struct Leavings {
  std::vector<fs::path> weights;  // checkpoints, and the best
  std::vector<fs::path> unfinished;
  fs::path output, lines;  // empty: there is none

  bool empty() const {
    return weights.empty() && unfinished.empty() && output.empty() && lines.empty();
  }
};

Leavings LeavingsOf(const fs::path& run) {
  Leavings found;
  std::error_code error;
  for (fs::directory_iterator it(run, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == "checkpoints" || name == "best") found.weights.push_back(it->path());
    if (name == "output") found.output = it->path();
    if (name == "output.jsonl") found.lines = it->path();
    // A file or folder has such a name until it is whole.
    const bool temporary = name.find(".tmp") != name.npos;
    if (temporary || name == "measured") found.unfinished.push_back(it->path());
  }
  return found;
}

Status RemoveAll(const std::vector<fs::path>& paths) {
  for (const fs::path& path : paths) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return ErrnoStatus(error.value(), "remove " + path.string());
  }
  return Status();
}

}  // namespace

Status RemoveCheckpoints(Database* database, const fs::path& storage, const std::string& job_id,
                         TimePoint now, Duration kept) {
  const fs::path run = RunFolder(storage, job_id);
  const Leavings found = LeavingsOf(run);
  if (found.empty()) return Status();
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(job, FindJob(transaction, job_id));
    return Status();
  }));
  if (job.id() != job_id || !IsFinal(job.state())) return Status();
  // A trainer that is being stopped may still write there: what is left goes next time.
  (void)RemoveAll(found.unfinished);
  std::error_code error;
  if (!found.lines.empty() && OutputIsDue(job, now, kept)) fs::remove(found.lines, error);
  if (CheckpointsAreDue(job, now, kept)) {
    // That of a job that succeeded may be the model, and of one that failed be imported.
    if (job.state() == v1::Job::CANCELLED && !found.output.empty()) {
      ATTUNE_RETURN_IF_ERROR(RemoveAll({found.output}));
    }
    ATTUNE_RETURN_IF_ERROR(RemoveAll(found.weights));
    if (!found.weights.empty()) {
      spdlog::info("job={} its checkpoints are removed: it has {}", job_id, StateName(job.state()));
    }
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
