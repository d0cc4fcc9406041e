#include "tools/cli/task_job.h"

#include <thread>
#include <utility>

#include "tools/cli/format.h"
#include "tools/cli/job_view.h"
#include "tools/cli/live.h"
#include "tools/cli/read_all.h"
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

namespace {

Result<v1::Job> Submit(Client& client, v1::SubmitJobRequest request) {
  request.set_request_id(NewId("req"));
  return client.Call(client.jobs(), &v1::JobService::Stub::SubmitJob, request);
}

Status CancelInterrupted(Client& client, const std::string& id) {
  v1::CancelJobRequest cancel;
  cancel.set_request_id(NewId("req"));
  cancel.set_id(id);
  cancel.set_reason("interrupted by the user who waited for it");
  auto cancelled = client.Call(client.jobs(), &v1::JobService::Stub::CancelJob, cancel);
  if (!cancelled.ok()) return cancelled.status();
  return Cancelled("interrupted: " + id + " was cancelled");
}

Status Stands(const v1::Job& job) {
  return Internal(job.id() + " is paused and waits for you: " + job.reason() +
                  ". Try again with `attune job resume " + job.id() +
                  "`, or give it up with `attune job cancel " + job.id() + "`");
}

// Until it has succeeded.
Status Await(Session& session, Client& client, v1::Job job) {
  auto ended = WatchJob(session, client, job, {.brief = true});
  while (ended.ok() && StandsStill(*ended)) {
    // Events are told from the first on: somebody may have resumed it since.
    ATTUNE_ASSIGN_OR_RETURN(job, GetJob(client, job.id()));
    if (StandsStill(job)) return Stands(job);
    ended = WatchJob(session, client, job, {.brief = true});
  }
  if (ended.status().code() == StatusCode::kCancelled) return CancelInterrupted(client, job.id());
  ATTUNE_RETURN_IF_ERROR(ended.status());
  if (ended->state() == v1::Job::SUCCEEDED) return Status();
  const std::string reason = ended->reason().empty() ? StateName(*ended) : ended->reason();
  return Internal(reason + " (" + job.id() + "; `attune job logs " + job.id() + "` has more)");
}

// What the job is doing while no output comes: on a terminal a line, until output begins; then
// words, when it does not go on.
class Waiting {
 public:
  Waiting(Session& session, Client& client, v1::Job job)
      : session_(session),
        client_(client),
        job_(std::move(job)),
        live_(&session.io(), session.quiet()) {
    // A log need not hold that a short task has been waited for.
    if (!session.io().err_is_terminal) next_look_ = session.io().clock->Monotonic() + kSilence;
  }

  void OnOutput() {
    live_.Clear();
    begun_ = true;
    next_look_ = session_.io().clock->Monotonic() + kStalled;
  }

  // An error when it waits for a person.
  Status OnIdle() {
    const auto now = session_.io().clock->Monotonic();
    const bool looks = now >= next_look_;
    if (looks) {
      Look();
      next_look_ = now + (begun_ ? kStalled : std::chrono::seconds(1));
    }
    if (StandsStill(job_)) return Stands(job_);
    if (!begun_ && session_.io().err_is_terminal) {
      Draw();
    } else if (looks) {
      Tell();
    }
    return Status();
  }

  bool stands_still() const { return StandsStill(job_); }

  void Clear() { live_.Clear(); }

 private:
  static constexpr std::chrono::seconds kStalled{10}, kSilence{5};

  void Look() {
    auto job = GetJob(client_, job_.id());
    if (job.ok()) job_ = std::move(*job);
  }

  void Draw() {
    const double seconds = SecondsOf(session_.io().clock->Now());
    view_.Observe(job_, seconds);
    live_.Update(view_.Drawn(job_, seconds, session_.io().width() - 1, session_.err_color()),
                 view_.Plain(job_));
  }

  void Tell() {
    if (job_.state() == v1::Job::RUNNING || IsFinal(job_.state())) return;
    const std::string words = StateName(job_) + ": " + job_.reason();
    if (std::exchange(told_, words) != words) session_.Say(words);
  }

  Session& session_;
  Client& client_;
  v1::Job job_;
  LiveLine live_;
  ProgressView view_;
  bool begun_ = false;
  std::string told_;
  std::chrono::steady_clock::time_point next_look_{};
};

}  // namespace

Result<std::string> RunTaskJob(Session& session, v1::SubmitJobRequest request) {
  CatchInterrupt catch_interrupt;
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  ATTUNE_ASSIGN_OR_RETURN(const v1::Job job, Submit(*client, std::move(request)));
  ATTUNE_RETURN_IF_ERROR(Await(session, *client, job));
  return ReadOutput(*client, job.id());
}

Result<v1::Job> StreamTaskJob(Session& session, v1::SubmitJobRequest request,
                              const OutputListener& listener) {
  CatchInterrupt catch_interrupt;
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, Submit(*client, std::move(request)));
  Waiting waiting(session, *client, job);
  v1::ReadOutputRequest read;
  read.set_id(job.id());
  read.set_follow(true);
  const auto open = [&](std::unique_ptr<grpc::ClientContext> context) {
    listener.go_on(&read);
    return std::make_unique<StreamReader<v1::OutputChunk>>(
        std::move(context), [&](auto* c, auto* queue) {
          return client->jobs().PrepareAsyncReadOutput(c, read, queue);
        });
  };
  const auto take = [&](const v1::OutputChunk& chunk) {
    waiting.OnOutput();
    listener.take(chunk);
  };
  const Status status = ReadAll<v1::OutputChunk>(session, *client, /*follow=*/true, open, take,
                                                 [&] { return waiting.OnIdle(); });
  waiting.Clear();
  if (session.io().interrupted()) return CancelInterrupted(*client, job.id());
  if (waiting.stands_still()) return status;
  if (!status.ok()) return status.WithContext(job.id() + " goes on, but its output");
  ATTUNE_RETURN_IF_ERROR(Await(session, *client, job));
  return job;
}

Result<nlohmann::ordered_json> PlanJob(Session& session, v1::SubmitJobRequest request) {
  request.set_kind(v1::Job::PLAN);
  ATTUNE_ASSIGN_OR_RETURN(const std::string output, RunTaskJob(session, std::move(request)));
  auto plan = nlohmann::ordered_json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!plan.is_object()) return Internal("the plan is not a JSON object: " + output.substr(0, 200));
  return plan;
}

}  // namespace attune::cli
