#include "coordinator/jobs/runner.h"

#include <cerrno>
#include <fstream>

#include "coordinator/jobs/control_loop.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/store/database.h"

namespace attune::jobs {

Result<v1::Job> LocalJobRunner::Submit(const v1::SubmitJobRequest& request) {
  return loop_->Call<v1::Job>(
      [request](Controller& controller) { return controller.Submit(request); });
}

Result<v1::Job> LocalJobRunner::Cancel(const v1::CancelJobRequest& request) {
  return loop_->Call<v1::Job>(
      [request](Controller& controller) { return controller.Cancel(request); });
}

Result<v1::Job> LocalJobRunner::Get(const std::string& id) {
  v1::Job job;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(job, FindJob(transaction, id));
    return Status();
  }));
  return job;
}

Status LocalJobRunner::ReadOutput(const std::string& id,
                                  const std::function<Status(std::string_view)>& take) {
  const std::filesystem::path path = storage_ / "runs" / id / "output.jsonl";
  std::ifstream file(path);
  if (!file) {
    const int error = errno;
    if (error != ENOENT) return ErrnoStatus(error, "open " + path.string());
    return NotFound("the job's output " + path.string() + " is not there");
  }
  std::string line;
  while (std::getline(file, line)) ATTUNE_RETURN_IF_ERROR(take(line));
  if (file.bad()) return Unavailable("cannot read " + path.string());
  return Status();
}

Status LocalJobRunner::RemoveOutput(const std::string& id) {
  const std::filesystem::path path = storage_ / "runs" / id / "output.jsonl";
  std::error_code error;
  std::filesystem::remove(path, error);
  return error ? ErrnoStatus(error.value(), "remove " + path.string()) : Status();
}

}  // namespace attune::jobs
