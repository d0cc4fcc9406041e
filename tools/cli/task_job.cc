#include "tools/cli/task_job.h"

#include <thread>

#include "tools/cli/job_view.h"
#include "tools/cli/watch.h"

namespace attune::cli {
namespace {

constexpr std::chrono::milliseconds kOutputDeadline{120000};
constexpr size_t kOutputMost = 256 << 20;
constexpr int kTries = 5;

Result<std::string> ReadOutputOnce(Client& client, const std::string& id, grpc::Status* status) {
  v1::ReadOutputRequest request;
  request.set_id(id);
  auto context = client.NewContext(kOutputDeadline);
  auto reader = client.jobs().ReadOutput(context.get(), request);
  v1::OutputChunk chunk;
  std::string output;
  while (reader->Read(&chunk)) {
    output += chunk.data();
    if (output.size() > kOutputMost) {
      context->TryCancel();
      return ResourceExhausted("the output of " + id + " is larger than 256 MiB");
    }
  }
  *status = reader->Finish();
  return output;
}

}  // namespace

Result<std::string> ReadOutput(Client& client, const std::string& id) {
  Backoff backoff(1);
  for (int attempt = 1;; ++attempt) {
    grpc::Status status;
    ATTUNE_ASSIGN_OR_RETURN(std::string output, ReadOutputOnce(client, id, &status));
    if (status.ok()) return output;
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE || attempt == kTries)
      return client.Explain(status);
    std::this_thread::sleep_for(backoff.Next());
  }
}

Result<std::string> RunTaskJob(Session& session, v1::SubmitJobRequest request) {
  CatchInterrupt catch_interrupt;
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  request.set_request_id(NewId("req"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job,
                          client->Call(client->jobs(), &v1::JobService::Stub::SubmitJob, request));
  auto ended = WatchJob(session, *client, job, {.brief = true});
  if (!ended.ok()) {
    if (ended.status().code() != StatusCode::kCancelled) return ended.status();
    v1::CancelJobRequest cancel;
    cancel.set_request_id(NewId("req"));
    cancel.set_id(job.id());
    cancel.set_reason("interrupted by the user who waited for it");
    auto cancelled = client->Call(client->jobs(), &v1::JobService::Stub::CancelJob, cancel);
    if (!cancelled.ok()) return cancelled.status();
    return Cancelled("interrupted: " + job.id() + " was cancelled");
  }
  if (ended->state() != v1::Job::SUCCEEDED) {
    std::string reason = ended->reason().empty() ? StateName(*ended) : ended->reason();
    return Internal(reason + " (" + job.id() + "; `attune job logs " + job.id() + "` has more)");
  }
  return ReadOutput(*client, job.id());
}

Result<nlohmann::ordered_json> PlanJob(Session& session, v1::SubmitJobRequest request) {
  request.set_kind(v1::Job::PLAN);
  ATTUNE_ASSIGN_OR_RETURN(const std::string output, RunTaskJob(session, std::move(request)));
  auto plan = nlohmann::ordered_json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!plan.is_object()) return Internal("the plan is not a JSON object: " + output.substr(0, 200));
  return plan;
}

}  // namespace attune::cli
