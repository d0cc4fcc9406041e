#include <algorithm>

#include "common/spec/document.h"
#include "common/spec/job_spec.h"
#include "common/spec/json.h"
#include "tools/cli/handlers.h"
#include "tools/cli/job_view.h"
#include "tools/cli/schedule_view.h"
#include "tools/cli/watch.h"

namespace attune::cli {
namespace {

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

// What the update that submitted the job found: what became of the candidate, what it forgot.
std::string UpdateOfJob(Session& session, Client& client, const v1::Job& job) {
  v1::GetUpdateRequest request;
  request.set_id(job.update());
  auto update = client.Call(client.schedules(), &v1::ScheduleService::Stub::GetUpdate, request);
  if (!update.ok()) return "";
  Card card(View(session));
  card.Row("Update", update->id() + " of " + update->schedule() + ": " +
                         v1::Update::State_Name(update->state()) +
                         (update->reason().empty() ? "" : ", " + update->reason()));
  card.Row("Skills", SkillLines(update->report(), View(session)));
  return card.Render();
}

// Cancel, pause and resume: the request, the answer, one line.
template <typename Request, typename Method>
Result<int> Act(Session& session, Request request, Method method, const std::string& id) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  request.set_request_id(NewId("req"));
  request.set_id(id);
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, client->Call(client->jobs(), method, request));
  std::string line = job.id() + "  " + job.name() + "  " +
                     Paint(StateName(job), StyleOf(job.state()), session.printer().color()) +
                     (job.reason().empty() ? "" : "  " + job.reason()) + "\n";
  session.printer().Object(spec::ToJson(job), job.id(), line);
  return kExitOk;
}

}  // namespace

Result<int> FollowToEnd(Session& session, Client& client, const v1::Job& start) {
  CatchInterrupt catch_interrupt;
  bool lines = session.printer().format() == Format::kJsonLines;
  auto job = WatchJob(session, client, start, {.events_as_lines = lines});
  if (!job.ok()) {
    if (job.status().code() != StatusCode::kCancelled) return job.status();
    session.Say("detached; the job goes on\n  follow it again:  attune job watch " + start.id() +
                "\n  stop it:          attune job cancel " + start.id());
    return kExitInterrupted;
  }
  if (session.printer().human()) {
    session.Say(OutcomeLine(*job));
    if (job->state() == v1::Job::FAILED)
      session.Say("`attune job logs " + job->id() + "` may say more");
  } else if (!lines) {
    session.printer().Object(spec::ToJson(*job), job->id(), "");
  }
  return job->state() == v1::Job::SUCCEEDED ? kExitOk : kExitFailed;
}

Result<int> RunJobList(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListJobsRequest request;
  request.set_all_kinds(arguments.Has("--all"));
  for (std::string state : arguments.All("--state")) {
    std::transform(state.begin(), state.end(), state.begin(), ::toupper);
    v1::Job::State value;
    if (v1::Job::State_Parse(state, &value)) request.add_states(value);
  }
  size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<v1::Job> jobs;
  do {
    request.set_page_size(static_cast<uint32_t>(std::min<size_t>(limit - jobs.size(), 200)));
    ATTUNE_ASSIGN_OR_RETURN(v1::ListJobsResponse page,
                            client->Call(client->jobs(), &v1::JobService::Stub::ListJobs, request));
    for (auto& job : *page.mutable_jobs()) {
      if (jobs.size() < limit) jobs.push_back(std::move(job));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && jobs.size() < limit);

  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  for (const v1::Job& job : jobs) items.push_back(spec::ToJson(job)), names.push_back(job.id());
  session.printer().List(items, names, JobTable(jobs, session.io().clock->Now()),
                         "no jobs yet; submit one with `attune job submit FILE`");
  return kExitOk;
}

Result<int> RunJobShow(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, GetJob(*client, arguments.Get("JOB")));
  if (arguments.Has("--spec")) {
    session.printer().Object(spec::ToJson(job.spec()), job.id(), spec::ToYaml(job.spec()));
    return kExitOk;
  }
  std::string card;
  if (session.printer().human()) {
    card = JobCard(job, View(session));
    if (job.state() == v1::Job::QUEUED || job.state() == v1::Job::PAUSED) {
      v1::ExplainJobRequest request;
      request.set_id(job.id());
      auto why = client->Call(client->jobs(), &v1::JobService::Stub::ExplainJob, request);
      if (why.ok()) card += "\n" + ExplanationCard(*why, View(session));
    }
    if (!job.update().empty()) card += UpdateOfJob(session, *client, job);
  }
  session.printer().Object(spec::ToJson(job), job.id(), card);
  return kExitOk;
}

Result<int> RunJobWatch(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, GetJob(*client, arguments.Get("JOB")));
  return FollowToEnd(session, *client, job);
}

Result<int> RunJobCancel(Session& session, const Arguments& arguments) {
  v1::CancelJobRequest request;
  request.set_reason(arguments.Get("--reason"));
  return Act(session, request, &v1::JobService::Stub::CancelJob, arguments.Get("JOB"));
}

Result<int> RunJobPause(Session& session, const Arguments& arguments) {
  return Act(session, v1::PauseJobRequest(), &v1::JobService::Stub::PauseJob, arguments.Get("JOB"));
}

Result<int> RunJobResume(Session& session, const Arguments& arguments) {
  return Act(session, v1::ResumeJobRequest(), &v1::JobService::Stub::ResumeJob,
             arguments.Get("JOB"));
}

Result<int> RunJobWhy(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ExplainJobRequest request;
  request.set_id(arguments.Get("JOB"));
  ATTUNE_ASSIGN_OR_RETURN(v1::JobExplanation explanation,
                          client->Call(client->jobs(), &v1::JobService::Stub::ExplainJob, request));
  session.printer().Object(spec::ToJson(explanation), explanation.job_id(),
                           ExplanationCard(explanation, View(session)));
  return kExitOk;
}

Result<int> RunJobExplain(Session& session, const Arguments& arguments) {
  if (arguments.Has("--markdown")) {
    session.printer().out() << spec::Markdown();
    return kExitOk;
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string text, spec::Explain(arguments.Get("KEY")));
  ATTUNE_ASSIGN_OR_RETURN(nlohmann::ordered_json keys, spec::ExplainJson(arguments.Get("KEY")));
  if (session.printer().human()) {
    session.printer().out() << text;
    return kExitOk;
  }
  std::vector<std::string> names;
  for (const auto& key : keys) names.push_back(key["key"]);
  session.printer().List(keys, names, Table({}), "");
  return kExitOk;
}

}  // namespace attune::cli
