// An update's way from WAITING to EVALUATING.

#include <algorithm>

#include "common/base/text.h"
#include "common/base/transient.h"
#include "common/spec/schedule_spec.h"
#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/requests_of.h"

namespace attune::retraining {
namespace {

constexpr uint32_t kWindowsPage = 500;
constexpr uint64_t kGoalExamplesMin = 30;  // fewer say little: the job's data set helps out

uint64_t Examples(const v1::DatasetVersion& version, const char* split) {
  auto found = version.examples().find(split);
  return found == version.examples().end() ? 0 : found->second;
}

bool IsOver(v1::Job::State state) {
  return state == v1::Job::SUCCEEDED || state == v1::Job::FAILED || state == v1::Job::CANCELLED;
}

uint64_t Labelled(const std::vector<v1::Window>& windows) {
  uint64_t labelled = 0;
  for (const v1::Window& window : windows) labelled += window.labelled();
  return labelled;
}

// Takes the excluded ones out and returns their numbers.
std::vector<uint64_t> TakeOutExcluded(std::vector<v1::Window>* windows) {
  std::vector<uint64_t> excluded;
  for (const v1::Window& window : *windows) {
    if (window.excluded()) excluded.push_back(window.number());
  }
  std::erase_if(*windows, [](const v1::Window& window) { return window.excluded(); });
  return excluded;
}

std::string Sentence(const v1::Job& job) {
  return job.id() + " " + (job.state() == v1::Job::FAILED ? "failed" : "was cancelled") +
         (job.reason().empty() ? "" : ": " + job.reason());
}

}  // namespace

Result<bool> Controller::Advance(UpdateRecord* record) {
  if (record->cancel_jobs) return TidyUp(record);
  Result<bool> further = Step(record);
  if (crashed_) return further;
  if (further.ok()) {
    if (!record->update.has_trouble_since()) return further;
    ATTUNE_RETURN_IF_ERROR(Commit(record, "goes_on", "", [](UpdateRecord* changed) {
      changed->update.set_reason("goes on after: " + changed->update.reason());
    }));
    return further;
  }
  const Status& status = further.status();
  if (!IsTransient(status)) return GiveUp(record, status.message());
  if (status.message().find("changed meanwhile") != std::string::npos) return status;
  // Tried again at the next tick; whoever looks sees why it waits.
  const TimePoint now = ports_.clock->Now();
  // One that began in time to come is of a clock that was ahead: it would never be given up.
  const bool known = record->update.has_trouble_since() &&
                     jobs::GetTimestamp(record->update.trouble_since()) <= now;
  if (known && now - jobs::GetTimestamp(record->update.trouble_since()) >= kTroubleMax) {
    return GiveUp(record, status.message() + " (tried again for " +
                              std::to_string(kTroubleMax.count()) + " hours)");
  }
  if (!known || record->update.reason() != status.message()) {
    ATTUNE_RETURN_IF_ERROR(Commit(record, "problem", status.message(), [&](UpdateRecord* changed) {
      changed->update.set_reason(status.message());
      if (!known) jobs::SetTimestamp(changed->update.mutable_trouble_since(), now);
    }));
  }
  return status;
}

Result<bool> Controller::GiveUp(UpdateRecord* record, const std::string& reason) {
  if (record->update.state() == v1::Update::WATCHING) {
    // It is promoted, and stays so.
    ATTUNE_RETURN_IF_ERROR(
        Finish(record, v1::Update::PROMOTED, "promoted, but not watched to the end: " + reason));
  } else {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::FAILED, reason));
  }
  return true;
}

Result<bool> Controller::Step(UpdateRecord* record) {
  switch (record->update.state()) {
    case v1::Update::WAITING:
      return StartWaiting(record);
    case v1::Update::COLLECTING:
      return ChooseData(record);
    case v1::Update::TRAINING:
      return Train(record);
    case v1::Update::EVALUATING:
      return Evaluate(record);
    case v1::Update::DECIDING:
      return Decide(record);
    case v1::Update::WATCHING:
      return Watch(record);
    default:
      return false;
  }
}

Result<bool> Controller::StartWaiting(UpdateRecord* record) {
  const TimePoint now = ports_.clock->Now();
  LimitFacts facts;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    facts = LimitFactsOf(transaction, record->spec, record->number, now);
    return Status();
  }));
  StartDecision decision =
      DecideStart(record->spec.limits(), BlackoutsOf(record->spec), facts, now);
  if (decision.kind == StartDecision::kSkip) {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::SKIPPED, decision.reason));
    return true;
  }
  if (decision.kind == StartDecision::kWait) {
    if (record->update.reason() == decision.reason) return false;
    ATTUNE_RETURN_IF_ERROR(Commit(record, "waits", decision.reason, [&](UpdateRecord* changed) {
      changed->update.set_reason(decision.reason);
    }));
    return false;
  }
  ATTUNE_ASSIGN_OR_RETURN(std::string champion, Champion(record->spec.promote()));
  ATTUNE_ASSIGN_OR_RETURN(v1::Seen seen, LookAround(record->spec));
  ATTUNE_ASSIGN_OR_RETURN(const v1::GatesSpec gates, GatesAgainst(record->spec.gates(), champion));
  std::string message = champion.empty() ? "no champion yet" : "the champion is " + champion;
  ATTUNE_RETURN_IF_ERROR(Commit(record, "started", message, [&](UpdateRecord* changed) {
    *changed->spec.mutable_gates() = gates;
    changed->update.set_state(v1::Update::COLLECTING);
    changed->update.set_reason("collects data");
    changed->update.set_champion(champion);
    *changed->update.mutable_seen() = seen;
  }));
  return true;
}

Result<std::string> Controller::Champion(const v1::PromoteSpec& promote) {
  uint32_t version = 0;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(
        version, ports_.models->AliasVersion(transaction, promote.model(), promote.alias()));
    return Status();
  }));
  return version == 0 ? std::string() : Reference(promote.model(), version);
}

// With "@champion" resolved to the data set that the champion was last trained on, without what was
// replayed beside it. A champion that was imported has none: there is nothing to hold it to.
Result<v1::GatesSpec> Controller::GatesAgainst(const v1::GatesSpec& gates,
                                               const std::string& champion) {
  std::string data;
  if (!champion.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::ModelVersion version, ports_.models->Get(champion));
    if (version.lineage().datasets_size() > 0) data = version.lineage().datasets(0);
  }
  v1::GatesSpec resolved = gates;
  resolved.clear_retention();
  for (const v1::Retention& skill : gates.retention()) {
    const bool own = skill.dataset() == spec::kChampionData;
    if (own && data.empty()) continue;
    v1::Retention* kept = resolved.add_retention();
    *kept = skill;
    if (own) kept->set_dataset(data);
  }
  return resolved;
}

// The last window of the stream that the champion, or what it was trained from, was trained on.
Result<uint64_t> Controller::TrainedWindow(const UpdateRecord& record, const v1::Stream& stream) {
  std::string reference = record.update.champion();
  if (record.spec.start_from() != "champion") return uint64_t{0};
  for (size_t i = 0; i < kLineageMax && !reference.empty(); ++i) {
    ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion version, ports_.models->Get(reference));
    const std::string& id = version.lineage().update();
    if (!id.empty()) {
      uint64_t window = 0;
      Status found = ports_.database->Read([&](Transaction& transaction) -> Status {
        ATTUNE_ASSIGN_OR_RETURN(UpdateRecord made, FindUpdate(transaction, id));
        if (made.update.schedule() == record.update.schedule() &&
            IsOfStream(made.update.seen(), stream)) {
          window = made.update.last_window();
        }
        return Status();
      });
      if (!found.ok() && found.code() != StatusCode::kNotFound) return found;
      if (window > 0) return window;
    }
    reference = version.lineage().base();
  }
  return uint64_t{0};
}

Result<std::vector<v1::Window>> Controller::WindowsAfter(const std::string& stream,
                                                         uint64_t after) {
  std::vector<v1::Window> windows;
  for (;;) {
    ATTUNE_ASSIGN_OR_RETURN(auto page, ports_.live->Windows(stream, after, kWindowsPage));
    if (page.empty()) return windows;
    after = page.back().number();
    for (v1::Window& window : page) windows.push_back(std::move(window));
  }
}

Result<bool> Controller::ChooseData(UpdateRecord* record) {
  if (record->spec.data().observe().empty()) return ChooseDatasets(record);
  return record->update.last_window() == 0 ? ChooseWindows(record) : ComposeData(record);
}

// Which windows is committed before they are composed: neither later ones nor one that is excluded
// or included meanwhile must change the question.
Result<bool> Controller::ChooseWindows(UpdateRecord* record) {
  const std::string& stream = record->spec.data().observe();
  if (ports_.live == nullptr) return FailedPrecondition("this coordinator has no streams");
  ATTUNE_ASSIGN_OR_RETURN(
      v1::Stream closed,
      ports_.live->CloseWindow("update/" + record->update.id() + "/close", stream));
  ATTUNE_ASSIGN_OR_RETURN(uint64_t after, TrainedWindow(*record, closed));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Window> windows, WindowsAfter(stream, after));
  const std::vector<uint64_t> excluded = TakeOutExcluded(&windows);
  const uint64_t labelled = Labelled(windows);
  if (labelled == 0) {
    ATTUNE_RETURN_IF_ERROR(Finish(
        record, v1::Update::SKIPPED,
        "stream " + stream + " has no new trainable example: " + CountOf(windows.size(), "window") +
            " after window " + std::to_string(after) +
            (excluded.empty() ? "" : ", besides " + CountOf(excluded.size(), "excluded window")) +
            ", none with an answer in it"));
    return true;
  }
  const uint64_t first = windows.front().number(), last = windows.back().number();
  std::string message =
      "windows " + std::to_string(first) + " to " + std::to_string(last) + " of " + stream;
  for (uint64_t number : excluded) {
    if (number > first && number < last) message += ", without " + std::to_string(number);
  }
  message += ": " + CountOf(labelled, "trainable example");
  ATTUNE_RETURN_IF_ERROR(Commit(record, "windows", message, [&](UpdateRecord* changed) {
    changed->update.set_first_window(first);
    changed->update.set_last_window(last);
    for (uint64_t number : excluded) {
      if (number > first && number < last) changed->update.add_excluded_windows(number);
    }
    *changed->update.mutable_seen() = SeenOf(closed);
    changed->update.mutable_seen()->set_window(last);
    changed->update.set_reason("composes " + message);
  }));
  return true;
}

Result<bool> Controller::ComposeData(UpdateRecord* record) {
  const v1::DataSpec& data = record->spec.data();
  ATTUNE_ASSIGN_OR_RETURN(std::vector<v1::Window> windows,
                          WindowsAfter(data.observe(), record->update.first_window() - 1));
  const auto& excluded = record->update.excluded_windows();
  std::vector<std::string> sources, datasets;
  for (const v1::Window& window : windows) {
    if (window.number() > record->update.last_window() || window.labelled() == 0) continue;
    if (std::find(excluded.begin(), excluded.end(), window.number()) != excluded.end()) continue;
    if (window.dataset().empty()) {
      return Unavailable("window " + std::to_string(window.number()) + " is no data set yet");
    }
    sources.push_back(window.dataset());
  }
  const std::string name = record->update.schedule() + "-data";
  ATTUNE_ASSIGN_OR_RETURN(
      v1::DatasetVersion composed,
      ports_.datasets->Compose("update/" + record->update.id() + "/compose", name, sources,
                               "composed by " + record->update.id()));
  if (Examples(composed, "train") == 0) {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::SKIPPED,
                                  Reference(composed.name(), composed.version()) +
                                      " has no example to train on: all are validation"));
    return true;
  }
  datasets.push_back(Reference(composed.name(), composed.version()));
  for (const v1::ReplaySpec& replay : data.replay()) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion old, ports_.datasets->Get(replay.dataset()));
    datasets.push_back(Reference(old.name(), old.version()));
  }
  std::string message = datasets.front() + ": " + std::to_string(Examples(composed, "train")) +
                        " examples to train on, " +
                        std::to_string(Examples(composed, "validation")) + " to measure";
  ATTUNE_RETURN_IF_ERROR(Commit(record, "composed", message, [&](UpdateRecord* changed) {
    changed->update.set_state(v1::Update::TRAINING);
    changed->update.set_reason("trains on " + message);
    changed->update.mutable_datasets()->Assign(datasets.begin(), datasets.end());
  }));
  return true;
}

// Without a stream: the newest versions of the job's data sets.
Result<bool> Controller::ChooseDatasets(UpdateRecord* record) {
  std::vector<std::string> datasets;
  for (const v1::DatasetRef& dataset : record->spec.job().datasets()) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ports_.datasets->Get(dataset.name()));
    datasets.push_back(Reference(version.name(), version.version()));
  }
  for (const v1::ReplaySpec& replay : record->spec.data().replay()) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ports_.datasets->Get(replay.dataset()));
    datasets.push_back(Reference(version.name(), version.version()));
  }
  std::optional<UpdateRecord> last;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    for (UpdateRecord& earlier :
         LoadUpdates(transaction, record->update.schedule(), record->number, 50)) {
      const v1::Update::State state = earlier.update.state();
      if (state == v1::Update::PROMOTED || state == v1::Update::WATCHING ||
          state == v1::Update::KEPT) {
        last = std::move(earlier);
        break;
      }
    }
    return Status();
  }));
  bool same = last && std::equal(datasets.begin(), datasets.end(), last->update.datasets().begin(),
                                 last->update.datasets().end());
  if (same && record->update.trigger() != "manual") {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::SKIPPED,
                                  "nothing is new: " + datasets.front() + " is what " +
                                      last->update.id() + " was trained on"));
    return true;
  }
  ATTUNE_RETURN_IF_ERROR(
      Commit(record, "chosen", "trains on " + datasets.front(), [&](UpdateRecord* changed) {
        changed->update.set_state(v1::Update::TRAINING);
        changed->update.set_reason("trains on " + datasets.front());
        changed->update.mutable_datasets()->Assign(datasets.begin(), datasets.end());
      }));
  return true;
}

Result<bool> Controller::Train(UpdateRecord* record) {
  const std::string& id = record->update.id();
  if (record->update.job_id().empty()) {
    v1::SubmitJobRequest request;
    request.set_request_id("update/" + id + "/train");
    *request.mutable_spec() = TrainingSpec(*record);
    request.set_kind(v1::Job::TRAIN);
    request.set_update(id);
    ATTUNE_ASSIGN_OR_RETURN(v1::Job job, ports_.jobs->Submit(request));
    ATTUNE_RETURN_IF_ERROR(
        Commit(record, "training", job.id() + " was submitted", [&](UpdateRecord* changed) {
          changed->update.set_job_id(job.id());
          AddJob(&changed->update, job.id());
        }));
    return true;
  }
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, ports_.jobs->Get(record->update.job_id()));
  if (job.state() == v1::Job::PAUSED) {
    const std::string reason = job.id() + " is paused: " + job.reason();
    if (record->update.reason() == reason) return false;
    ATTUNE_RETURN_IF_ERROR(Commit(record, "problem", reason, [&](UpdateRecord* changed) {
      changed->update.set_reason(reason);
    }));
    return false;
  }
  if (!IsOver(job.state())) return false;
  if (job.state() != v1::Job::SUCCEEDED) return FailedPrecondition(Sentence(job));
  ATTUNE_ASSIGN_OR_RETURN(double hours, HoursOfJobs(*record));
  ATTUNE_RETURN_IF_ERROR(
      Commit(record, "trained", job.model() + " is the candidate", [&](UpdateRecord* changed) {
        changed->update.set_state(v1::Update::EVALUATING);
        changed->update.set_reason("measures " + job.model());
        changed->update.set_candidate(job.model());
        changed->update.set_gpu_hours(hours);
      }));
  return true;
}

// The versions of the suites are committed before jobs are asked for: newer ones must not change
// the question, and candidate and champion answer the same.
Result<bool> Controller::AskEvaluation(UpdateRecord* record) {
  std::string goal = record->update.datasets(0);
  ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion own, ports_.datasets->Get(goal));
  const bool composed = !record->spec.data().observe().empty();
  if (composed && Examples(own, "validation") < kGoalExamplesMin) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion job,
                            ports_.datasets->Get(record->spec.job().datasets(0).name()));
    const std::string more = Reference(job.name(), job.version());
    ATTUNE_ASSIGN_OR_RETURN(
        v1::DatasetVersion both,
        ports_.datasets->Compose("update/" + record->update.id() + "/goal/" + more,
                                 record->update.schedule() + "-goal", {goal, more},
                                 "composed by " + record->update.id()));
    goal = Reference(both.name(), both.version());
  }
  v1::EvaluateRequest request = EvaluationOf(*record, goal);
  for (v1::Suite& suite : *request.mutable_suites()) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ports_.datasets->Get(suite.dataset()));
    suite.set_dataset(Reference(version.name(), version.version()));
  }
  ATTUNE_RETURN_IF_ERROR(Commit(
      record, "suites",
      "measures on " + goal + " and " + std::to_string(request.suites_size() - 1) + " skills",
      [&](UpdateRecord* changed) { changed->evaluation = request; }));
  return true;
}

Result<v1::Job> Controller::SubmitEvaluation(const std::string& request_id,
                                             const UpdateRecord& record,
                                             const v1::EvaluateRequest& evaluation) {
  v1::SubmitJobRequest request;
  request.set_request_id(request_id);
  request.set_kind(v1::Job::EVALUATE);
  *request.mutable_task()->mutable_evaluate() = evaluation;
  request.set_update(record.update.id());
  return ports_.jobs->Submit(request);
}

// The candidate's comes first, the champion's second if gates compare.
Result<bool> Controller::SubmitEvaluations(UpdateRecord* record) {
  std::vector<std::string> models = {record->update.candidate()};
  if (!record->update.champion().empty() && NeedsChampion(record->spec.gates())) {
    models.push_back(record->update.champion());
  }
  if (static_cast<size_t>(record->update.evaluation_job_ids_size()) >= models.size()) return false;
  std::vector<std::string> jobs;
  std::string message;
  for (const std::string& model : models) {
    v1::EvaluateRequest request = record->evaluation;
    request.set_model(model);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::Job job,
        SubmitEvaluation("update/" + record->update.id() + "/evaluate/" + model, *record, request));
    jobs.push_back(job.id());
    message += (message.empty() ? "" : ", ") + job.id() + " measures " + model;
  }
  ATTUNE_RETURN_IF_ERROR(Commit(record, "evaluating", message, [&](UpdateRecord* changed) {
    changed->update.mutable_evaluation_job_ids()->Assign(jobs.begin(), jobs.end());
    for (const std::string& job : jobs) AddJob(&changed->update, job);
  }));
  return true;
}

Result<bool> Controller::Evaluate(UpdateRecord* record) {
  if (record->evaluation.suites_size() == 0) return AskEvaluation(record);
  ATTUNE_ASSIGN_OR_RETURN(bool submitted, SubmitEvaluations(record));
  if (submitted) return true;
  for (const std::string& id : record->update.evaluation_job_ids()) {
    ATTUNE_ASSIGN_OR_RETURN(v1::Job job, ports_.jobs->Get(id));
    if (!IsOver(job.state())) return false;
    if (job.state() != v1::Job::SUCCEEDED) return FailedPrecondition(Sentence(job));
  }
  ATTUNE_ASSIGN_OR_RETURN(double hours, HoursOfJobs(*record));
  ATTUNE_RETURN_IF_ERROR(Commit(record, "evaluated", "decides", [&](UpdateRecord* changed) {
    changed->update.set_state(v1::Update::DECIDING);
    changed->update.set_reason("decides on " + changed->update.candidate());
    changed->update.set_gpu_hours(hours);
  }));
  return true;
}

// It has ended: its jobs end too, and when they have, what they took is known, and the lines that
// they wrote go: facts were made of them, or never will be.
Result<bool> Controller::TidyUp(UpdateRecord* record) {
  bool open = false;
  for (const std::string& id : record->update.job_ids()) {
    auto job = ports_.jobs->Get(id);
    if (!job.ok() && job.status().code() == StatusCode::kNotFound) continue;
    if (!job.ok()) return job.status();
    if (IsOver(job->state())) continue;
    v1::CancelJobRequest request;
    request.set_request_id("update/" + record->update.id() + "/cancel/" + id);
    request.set_id(id);
    request.set_reason(record->update.id() + " has ended: " + record->update.reason());
    auto cancelled = ports_.jobs->Cancel(request);
    if (!cancelled.ok() && cancelled.status().code() != StatusCode::kFailedPrecondition) {
      return cancelled.status();
    }
    open = open || !cancelled.ok() || !IsOver(cancelled->state());
  }
  if (open) return false;  // looked at again
  for (const std::string& id : record->update.job_ids()) {
    ATTUNE_RETURN_IF_ERROR(ports_.jobs->RemoveOutput(id));
  }
  ATTUNE_ASSIGN_OR_RETURN(double hours, HoursOfJobs(*record));
  ATTUNE_RETURN_IF_ERROR(Commit(record, "tidied_up", "", [&](UpdateRecord* changed) {
    changed->cancel_jobs = false;
    changed->update.set_gpu_hours(hours);
  }));
  return false;
}

}  // namespace attune::retraining
