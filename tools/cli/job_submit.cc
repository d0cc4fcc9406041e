#include <iterator>

#include "common/base/files.h"
#include "common/spec/job_spec.h"
#include "common/spec/json.h"
#include "common/yaml/document.h"
#include "tools/cli/handlers.h"
#include "tools/cli/job_view.h"
#include "tools/cli/task_job.h"
#include "tools/cli/watch.h"

namespace attune::cli {
namespace {

Result<std::string> ReadSpecText(Session& session, const std::string& file) {
  if (file == "-") {
    return std::string(std::istreambuf_iterator<char>(*session.io().in),
                       std::istreambuf_iterator<char>());
  }
  auto text = ReadFile(file, yaml::kMaxBytes);
  if (!text.ok() && text.status().code() == StatusCode::kNotFound) {
    return NotFound("there is no file " + file);
  }
  return text;
}

Result<int> RunPlan(Session& session, v1::SubmitJobRequest request) {
  request.set_kind(v1::Job::PLAN);
  v1::JobSpec spec = request.spec();
  ATTUNE_ASSIGN_OR_RETURN(std::string output, RunTaskJob(session, std::move(request)));
  auto plan = nlohmann::ordered_json::parse(output, nullptr, false);
  if (!plan.is_object()) return Internal("the plan is not a JSON object: " + output.substr(0, 200));
  session.printer().Object(plan, spec.name(),
                           PlanCard(plan, spec,
                                    {.now = session.io().clock->Now(),
                                     .width = session.printer().width(),
                                     .color = session.printer().color()}));
  return kExitOk;
}

}  // namespace

Result<int> RunJobSubmit(Session& session, const Arguments& arguments) {
  std::string file = arguments.Get("FILE");
  ATTUNE_ASSIGN_OR_RETURN(std::string text, ReadSpecText(session, file));
  v1::SubmitJobRequest request;
  request.set_spec_source(text);
  ATTUNE_ASSIGN_OR_RETURN(
      *request.mutable_spec(),
      spec::ParseJobSpec(text, file == "-" ? "standard input" : file, arguments.All("--set")));
  if (arguments.Has("--dry-run")) return RunPlan(session, std::move(request));

  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  request.set_kind(v1::Job::TRAIN);
  request.set_request_id(NewId("req"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job,
                          client->Call(client->jobs(), &v1::JobService::Stub::SubmitJob, request));
  if (arguments.Has("--watch")) {
    session.Say("submitted " + job.name() + " as " + job.id());
    return FollowToEnd(session, *client, job);
  }
  session.printer().Object(spec::ToJson(job), job.id(), job.id() + "\n");
  if (session.printer().human()) {
    session.Say("submitted " + job.name() + "; follow it with `attune job watch " + job.id() + "`");
  }
  return kExitOk;
}

}  // namespace attune::cli
