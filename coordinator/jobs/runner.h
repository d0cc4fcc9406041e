#pragma once

// Jobs as drift and retraining use them: submit, look, read what came out. Thread-safe.

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "attune/v1/jobs.pb.h"
#include "common/base/status.h"

namespace attune {
class Database;
}

namespace attune::jobs {

class ControlLoop;

class JobRunner {
 public:
  virtual ~JobRunner() = default;
  // The same request id again returns the first job.
  virtual Result<v1::Job> Submit(const v1::SubmitJobRequest& request) = 0;
  virtual Result<v1::Job> Cancel(const v1::CancelJobRequest& request) = 0;
  virtual Result<v1::Job> Get(const std::string& id) = 0;
  // Calls take for each line of a job's output, without its newline; take's error ends it.
  virtual Status ReadOutput(const std::string& id,
                            const std::function<Status(std::string_view line)>& take) = 0;
  // What was read and is not needed any more; none is there for ReadOutput after it.
  virtual Status RemoveOutput(const std::string& id) { return Status(); }
};

// The coordinator's own. Both outlive it. storage: the cluster's folder.
class LocalJobRunner final : public JobRunner {
 public:
  LocalJobRunner(ControlLoop* loop, Database* database, std::filesystem::path storage)
      : loop_(loop), database_(database), storage_(std::move(storage)) {}
  Result<v1::Job> Submit(const v1::SubmitJobRequest& request) override;
  Result<v1::Job> Cancel(const v1::CancelJobRequest& request) override;
  Result<v1::Job> Get(const std::string& id) override;
  Status ReadOutput(const std::string& id,
                    const std::function<Status(std::string_view line)>& take) override;
  Status RemoveOutput(const std::string& id) override;

 private:
  ControlLoop* const loop_;
  Database* const database_;
  const std::filesystem::path storage_;
};

}  // namespace attune::jobs
