#include "tools/cli/watch.h"

#include <unistd.h>

#include <optional>
#include <thread>

#include "common/base/reasons.h"
#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/job_view.h"
#include "tools/cli/stream.h"

namespace attune::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kTick{200};
constexpr milliseconds kStreamDeadline{3600 * 1000};  // then the stream is opened anew
constexpr std::chrono::seconds kBriefSilence{5};
constexpr std::chrono::minutes kPatience{15};  // with a coordinator that stays away

std::string Metric(const v1::Job& job, const char* name, std::string (*format)(double)) {
  auto it = job.metrics().find(name);
  return it == job.metrics().end() ? "" : format(it->second);
}

std::string ShortLoss(double loss) {
  return FormatLoss(loss).substr(0, FormatLoss(loss).size() - 1);
}

std::string ClockTime(const google::protobuf::Timestamp& time) {
  std::string local = FormatLocalTime(time);
  return local.size() > 11 ? local.substr(11) : local;
}

// Events that the progress line tells, or that only say how the work is cut.
bool IsDetail(const std::string& type) {
  return type == "step" || type == "progress" || type == "task-done";
}

class Watcher {
 public:
  Watcher(Session& session, Client& client, v1::Job job, const WatchOptions& options)
      : session_(session),
        client_(client),
        options_(options),
        job_(std::move(job)),
        live_(&session.io(), session.quiet()),
        backoff_(static_cast<uint64_t>(getpid())) {
    view_.Observe(job_, Now());
  }

  Result<v1::Job> Run() {
    while (!IsOver()) {
      if (away_since_) {
        ATTUNE_RETURN_IF_ERROR(Knock());
      } else {
        Redraw();
        grpc::Status status = ReadStream();
        bool broken = !status.ok() && status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED;
        if (broken && !MayComeBack(status.error_code())) return client_.Explain(status);
        if (broken && !session_.io().interrupted()) NoteAway();
        // A stream that ran into its deadline was fine until then.
        if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) continue;
      }
      if (IsOver()) break;
      if (!Pause(backoff_.Next())) return Cancelled("interrupted");
    }
    return job_;
  }

 private:
  double Now() const { return SecondsOf(session_.io().clock->Now()); }
  bool IsOver() const { return IsFinal(job_.state()) || (options_.brief && StandsStill(job_)); }

  grpc::Status ReadStream() {
    v1::WatchJobRequest request;
    request.set_id(job_.id());
    request.set_after_sequence(job_.sequence());
    StreamReader<v1::JobEvent> reader(
        client_.NewContext(kStreamDeadline), [&](auto* context, auto* queue) {
          return client_.jobs().PrepareAsyncWatchJob(context, request, queue);
        });
    using Event = StreamReader<v1::JobEvent>::Event;
    v1::JobEvent event;
    while (!session_.io().interrupted()) {
      Event next = reader.Next(&event, kTick);
      if (next == Event::kEnd) return reader.status();
      if (next == Event::kItem) OnEvent(event);
      if (options_.brief && StandsStill(job_)) return grpc::Status::OK;  // no end of the stream
      Redraw();
    }
    return grpc::Status::OK;
  }

  void OnEvent(const v1::JobEvent& event) {
    backoff_.Reset();
    v1::Job::State before = job_.state();
    job_ = event.job();
    // The next stream starts after this event, whatever the copy of the job in it says.
    job_.set_sequence(event.sequence());
    view_.Observe(job_, SecondsOf(event.time()));
    if (options_.events_as_lines) {
      *session_.io().out << spec::ToJsonText(event) << std::endl;
      return;
    }
    if (options_.brief) return TellPause(before);
    if (IsDetail(event.type())) return;
    std::string text = event.message();
    if (text.empty() && before != job_.state()) text = StateName(job_) + ": " + job_.reason();
    if (!text.empty()) live_.Print(ClockTime(event.time()) + "  " + text);
  }

  // In full, which a terminal's line has no room for; a log gets it as the line.
  void TellPause(v1::Job::State before) {
    const bool paused = job_.state() == v1::Job::PAUSED && before != v1::Job::PAUSED;
    if (!paused || StandsStill(job_) || !session_.io().err_is_terminal) return;
    live_.Print(StateName(job_) + ": " + job_.reason());
  }

  void NoteAway() {
    away_since_ = steady_clock::now();
    live_.Clear();
    session_.Say("coordinator away, retrying");
  }

  // Asks whether the coordinator is back. Fails when it answers that there is nothing to watch, or
  // when it has been away for too long.
  Status Knock() {
    auto job = GetJob(client_, job_.id());
    if (job.ok()) {
      away_since_.reset();
      backoff_.Reset();
      live_.Print("coordinator is back");
      return Status();
    }
    StatusCode code = job.status().code();
    bool away = code == StatusCode::kUnavailable || code == StatusCode::kDeadlineExceeded;
    if (!away || steady_clock::now() - *away_since_ > kPatience) return job.status();
    return Status();
  }

  // False when interrupted.
  bool Pause(milliseconds wait) {
    auto until = steady_clock::now() + wait;
    while (steady_clock::now() < until) {
      if (session_.io().interrupted()) return false;
      std::this_thread::sleep_for(std::min(milliseconds(50), wait));
    }
    return true;
  }

  void Redraw() {
    if (options_.events_as_lines) return;
    // A log need not hold that a short task has been waited for.
    bool early = session_.io().clock->Monotonic() - started_ < kBriefSilence;
    if (options_.brief && early && !session_.io().err_is_terminal) return;
    live_.Update(view_.Drawn(job_, Now(), session_.io().width() - 1, session_.err_color()),
                 view_.Plain(job_));
  }

  Session& session_;
  Client& client_;
  const WatchOptions options_;
  v1::Job job_;
  LiveLine live_;
  ProgressView view_;
  Backoff backoff_;
  const steady_clock::time_point started_ = session_.io().clock->Monotonic();
  std::optional<steady_clock::time_point> away_since_;
};

}  // namespace

void ProgressView::Observe(const v1::Job& job, double seconds) {
  if (job.generation() != generation_ || state_ != static_cast<uint32_t>(job.state())) {
    if (state_ != static_cast<uint32_t>(job.state())) state_since_ = seconds;
    state_ = static_cast<uint32_t>(job.state());
    generation_ = job.generation();
    samples_.clear();
  }
  if (!samples_.empty() && samples_.back().step == job.step()) return;
  if (!samples_.empty() && samples_.back().step > job.step()) samples_.clear();
  samples_.push_back({job.step(), seconds});
  if (samples_.size() > kSamples) samples_.pop_front();
}

double ProgressView::SecondsLeft(const v1::Job& job) const {
  if (samples_.size() < 2 || job.total_steps() == 0 || job.state() != v1::Job::RUNNING) return -1;
  const Sample &first = samples_.front(), &last = samples_.back();
  double per_step = (last.seconds - first.seconds) / (last.step - first.step);
  return per_step * (job.total_steps() - std::min(job.step(), job.total_steps()));
}

std::string ProgressView::Drawn(const v1::Job& job, double now, int width, bool color) const {
  std::string state = StateName(job);
  std::string line = job.name() + " " + state;
  size_t used = DisplayWidth(line);
  std::string out = job.name() + " " + Paint(state, StyleOf(job.state()), color);
  std::vector<std::string> parts;
  if (job.state() == v1::Job::RUNNING && job.total_steps() > 0) {
    double share = static_cast<double>(job.step()) / job.total_steps();
    int bar = width >= 100 ? 24 : 8;
    parts.push_back(Bar(share, bar, true) + " " + std::to_string(job.step()) + "/" +
                    std::to_string(job.total_steps()));
    double left = SecondsLeft(job);
    if (left >= 0) parts.push_back("ETA " + FormatSeconds(left));
    std::string loss = Metric(job, "loss", ShortLoss),
                validation = Metric(job, "validation_loss", ShortLoss);
    std::string speed = Metric(job, "tokens_per_second", FormatRate);
    if (!loss.empty()) parts.push_back("loss " + loss);
    if (!validation.empty()) parts.push_back("val " + validation);
    if (!speed.empty()) parts.push_back(speed + " tok/s");
    if (job.ranks() > 0)
      parts.push_back(std::to_string(job.ranks()) + (job.ranks() == 1 ? " rank" : " ranks"));
  } else if (job.state() == v1::Job::PREPARING && job.progress().total() > 0) {
    parts.push_back(
        Bar(job.progress().done() / job.progress().total(), width >= 100 ? 24 : 8, true));
    parts.back() += " " + job.progress().phase() + " " + PreparedText(job.progress());
    if (job.progress().has_seconds_left()) parts.push_back(EtaText(job.progress()));
  } else {
    parts.push_back(FormatSeconds(std::max(0.0, now - state_since_)));
    if (!job.reason().empty()) parts.push_back(job.reason());
  }
  const bool numbers = parts.size() > 2 || job.state() == v1::Job::RUNNING;
  for (const std::string& part : parts) {
    size_t left = static_cast<size_t>(std::max(width, 1)) - std::min<size_t>(used, width);
    if (left < 4 || (numbers && DisplayWidth(part) + 2 > left))
      continue;  // a cut number says nothing
    std::string fitted = "  " + Fit(part, left - 2);
    out += fitted;
    used += DisplayWidth(fitted);
  }
  return out;
}

std::string ProgressView::Plain(const v1::Job& job) const {
  std::string out = job.name() + " " + StateName(job);
  if (job.state() == v1::Job::PREPARING && job.progress().total() > 0) {
    const std::string eta = EtaText(job.progress());
    return out + ": " + job.progress().phase() + " " + PreparedText(job.progress()) +
           (eta.empty() ? "" : ", " + eta);
  }
  if (job.state() != v1::Job::RUNNING || job.total_steps() == 0) {
    return job.reason().empty() ? out : out + ": " + job.reason();
  }
  out += " step " + std::to_string(job.step()) + "/" + std::to_string(job.total_steps());
  double left = SecondsLeft(job);
  if (left >= 0) out += ", ETA " + FormatSeconds(left);
  auto add = [&](const char* before, const std::string& value, const char* after) {
    if (!value.empty()) out += std::string(", ") + before + value + after;
  };
  add("loss ", Metric(job, "loss", FormatLoss), "");
  add("validation loss ", Metric(job, "validation_loss", FormatLoss), "");
  add("", Metric(job, "tokens_per_second", FormatRate), " tokens/s");
  if (job.ranks() > 0) add("", std::to_string(job.ranks()), job.ranks() == 1 ? " rank" : " ranks");
  return out;
}

Result<v1::Job> GetJob(Client& client, const std::string& id_or_name) {
  v1::GetJobRequest request;
  request.set_id(id_or_name);
  return client.Call(client.jobs(), &v1::JobService::Stub::GetJob, request);
}

bool StandsStill(const v1::Job& job) {
  return job.state() == v1::Job::PAUSED && job.reason().find(kGoesOnByItself) == std::string::npos;
}

Result<v1::Job> WatchJob(Session& session, Client& client, v1::Job job,
                         const WatchOptions& options) {
  return Watcher(session, client, std::move(job), options).Run();
}

std::string OutcomeLine(const v1::Job& job) {
  std::string out = job.name() + " (" + job.id() + ") ";
  double seconds =
      job.has_started() && job.has_ended() ? SecondsOf(job.ended()) - SecondsOf(job.started()) : -1;
  std::string after = seconds >= 0 ? " after " + FormatSeconds(seconds) : "";
  if (job.state() != v1::Job::SUCCEEDED) {
    std::string reason = job.reason();
    const std::string cancelled = "cancelled: ";  // said already
    if (reason.starts_with(cancelled)) reason.erase(0, cancelled.size());
    return out + (job.state() == v1::Job::CANCELLED ? "was cancelled" : "failed") + after +
           (reason.empty() ? "" : ": " + reason);
  }
  out += "succeeded" + after;
  std::string loss = Metric(job, "loss", FormatLoss),
              validation = Metric(job, "validation_loss", FormatLoss);
  if (!job.model().empty()) out += ": registered " + job.model();
  if (!loss.empty()) out += ", loss " + loss;
  if (!validation.empty()) out += ", validation loss " + validation;
  return out;
}

}  // namespace attune::cli
