#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/cli/session.h"

namespace attune::cli {

// Submits a job that trains nothing, waits for it, and returns what it wrote. Ctrl-C cancels
// the job. Errors: that of the job, with its id; kCancelled.
Result<std::string> RunTaskJob(Session& session, v1::SubmitJobRequest request);
// The same, but hands what it writes over as it comes: its chunks, which begin anew if the job has
// to start again. go_on(request): where to read on when the coordinator was away.
struct OutputListener {
  std::function<void(const v1::OutputChunk&)> take;
  std::function<void(v1::ReadOutputRequest*)> go_on;
};
Result<v1::Job> StreamTaskJob(Session& session, v1::SubmitJobRequest request,
                              const OutputListener& listener);
// A job that trains, read from a YAML file ("-": standard input) with "key=value" settings over it.
Result<v1::SubmitJobRequest> ReadJobSpec(Session& session, const std::string& file,
                                         const std::vector<std::string>& settings);
// What the job would do, as a PLAN job writes it: one JSON object.
Result<nlohmann::ordered_json> PlanJob(Session& session, v1::SubmitJobRequest request);
// All that a task job has written.
Result<std::string> ReadOutput(Client& client, const std::string& id);

}  // namespace attune::cli
