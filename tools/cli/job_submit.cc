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

Result<int> RunPlan(Session& session, v1::SubmitJobRequest request) {
  const v1::JobSpec spec = request.spec();
  ATTUNE_ASSIGN_OR_RETURN(const auto plan, PlanJob(session, std::move(request)));
  session.printer().Object(plan, spec.name(),
                           PlanCard(plan, spec,
                                    {.now = session.io().clock->Now(),
                                     .width = session.printer().width(),
                                     .color = session.printer().color()}));
  return kExitOk;
}

}  // namespace

Result<v1::SubmitJobRequest> ReadJobSpec(Session& session, const std::string& file,
                                         const std::vector<std::string>& settings) {
  std::string text;
  if (file == "-") {
    text.assign(std::istreambuf_iterator<char>(*session.io().in), std::istreambuf_iterator<char>());
  } else {
    auto read = ReadFile(file, yaml::kMaxBytes);
    if (!read.ok() && read.status().code() == StatusCode::kNotFound) {
      return NotFound("there is no file " + file);
    }
    ATTUNE_ASSIGN_OR_RETURN(text, std::move(read));
  }
  v1::SubmitJobRequest request;
  ATTUNE_ASSIGN_OR_RETURN(
      *request.mutable_spec(),
      spec::ParseJobSpec(text, file == "-" ? "standard input" : file, settings));
  request.set_spec_source(std::move(text));
  return request;
}

Result<int> RunJobSubmit(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(v1::SubmitJobRequest request,
                          ReadJobSpec(session, arguments.Get("FILE"), arguments.All("--set")));
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
