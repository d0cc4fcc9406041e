#pragma once

#include <string>

#include "tools/cli/session.h"

namespace attune::cli {

// Submits a job that trains nothing, waits for it, and returns what it wrote. Ctrl-C cancels
// the job. Errors: that of the job, with its id; kCancelled.
Result<std::string> RunTaskJob(Session& session, v1::SubmitJobRequest request);
// All that a task job has written.
Result<std::string> ReadOutput(Client& client, const std::string& id);

}  // namespace attune::cli
