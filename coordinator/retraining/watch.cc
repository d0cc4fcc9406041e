// WATCHING: the new champion against the old one on live data, and the way back.

#include <cstdio>

#include "common/gates/measure.h"
#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/requests_of.h"

namespace attune::retraining {
namespace {

constexpr const char* kSuite = "live";
constexpr std::chrono::hours kWatchMax{14 * 24};  // live data with answers may never come

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

// A window's two splits are one suite: rows of it that were trained on are left out as in others.
void Join(v1::EvaluationFacts* facts) {
  for (v1::ExampleFacts& example : *facts->mutable_examples()) example.set_suite(kSuite);
}

std::string EndOfWatch(const UpdateRecord& record, bool old) {
  const uint32_t looked_at = record.update.windows_looked_at();
  std::string text = old ? "the watch ends after 14 days: " : "";
  text += std::to_string(looked_at) + (looked_at == 1 ? " window" : " windows") +
          " of live data were watched";
  if (record.watched == 0) return text + ", and none could be compared: nothing is known";
  if (record.watched < looked_at) text += ", " + std::to_string(record.watched) + " compared";
  return text + ": not worse than " + record.update.champion();
}

const v1::GateResult* RetentionOf(const v1::GateReport& report) {
  for (const v1::GateResult& gate : report.gates()) {
    if (gate.gate() == "retention") return &gate;
  }
  return nullptr;
}

}  // namespace

Result<bool> Controller::Watch(UpdateRecord* record) {
  const v1::PromoteSpec& promote = record->spec.promote();
  ATTUNE_ASSIGN_OR_RETURN(std::string champion, Champion(promote));
  if (champion != record->update.candidate()) {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::PROMOTED,
                                  "the alias moved on to " +
                                      (champion.empty() ? "none" : champion) + " after " +
                                      std::to_string(record->watched) + " windows"));
    return true;
  }
  const v1::Update& update = record->update;
  const bool old =
      update.has_promoted() && ports_.clock->Now() - TimeOf(update.promoted()) >= kWatchMax;
  if (ports_.live == nullptr || old || update.windows_looked_at() >= promote.rollback().windows()) {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::PROMOTED, EndOfWatch(*record, old)));
    return true;
  }
  return record->watch_candidate_job.empty() ? WatchNext(record) : Compare(record);
}

Result<v1::EvaluateRequest> Controller::LiveSuites(const UpdateRecord& record,
                                                   const v1::Window& window) {
  ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ports_.datasets->Get(window.dataset()));
  v1::EvaluateRequest request;
  for (const char* split : {"train", "validation"}) {
    auto found = version.examples().find(split);
    if (found == version.examples().end() || found->second == 0) continue;
    v1::Suite* suite = request.add_suites();
    suite->set_name(std::string(kSuite) + "-" + split);
    suite->set_dataset(window.dataset());
    suite->set_split(split);
    suite->set_max_examples(record.spec.gates().max_examples());
  }
  request.set_merge(true);
  request.set_dtype(record.spec.gates().dtype());
  request.set_seed(record.spec.gates().seed());
  return request;
}

// The next window with labelled examples: both models are measured on it.
Result<bool> Controller::WatchNext(UpdateRecord* record) {
  const std::string& id = record->update.id();
  ATTUNE_ASSIGN_OR_RETURN(auto windows,
                          WindowsAfter(record->spec.data().observe(), record->watch_after));
  for (const v1::Window& window : windows) {
    if (window.labelled() == 0) continue;
    if (window.dataset().empty()) return false;
    ATTUNE_ASSIGN_OR_RETURN(v1::EvaluateRequest request, LiveSuites(*record, window));
    if (request.suites_size() == 0) continue;
    const std::string prefix = "update/" + id + "/watch/" + std::to_string(window.number());
    request.set_model(record->update.candidate());
    ATTUNE_ASSIGN_OR_RETURN(v1::Job candidate,
                            SubmitEvaluation(prefix + "/candidate", *record, request));
    request.set_model(record->update.champion());
    ATTUNE_ASSIGN_OR_RETURN(v1::Job champion,
                            SubmitEvaluation(prefix + "/champion", *record, request));
    ATTUNE_RETURN_IF_ERROR(Commit(record, "watching",
                                  "measures both on window " + std::to_string(window.number()),
                                  [&](UpdateRecord* changed) {
                                    changed->watch_after = window.number();
                                    changed->evaluation = request;
                                    changed->watch_candidate_job = candidate.id();
                                    changed->watch_champion_job = champion.id();
                                    AddJob(&changed->update, candidate.id());
                                    AddJob(&changed->update, champion.id());
                                  }));
    return true;
  }
  return false;
}

Result<bool> Controller::Compare(UpdateRecord* record) {
  const v1::RollbackSpec& rollback = record->spec.promote().rollback();
  const std::string window = "window " + std::to_string(record->watch_after);
  ATTUNE_ASSIGN_OR_RETURN(double hours, HoursOfJobs(*record));
  auto clear = [&](UpdateRecord* changed) {
    changed->update.set_gpu_hours(hours);
    changed->update.set_windows_looked_at(changed->update.windows_looked_at() + 1);
    changed->watch_candidate_job.clear();
    changed->watch_champion_job.clear();
  };
  for (const std::string& id : {record->watch_candidate_job, record->watch_champion_job}) {
    ATTUNE_ASSIGN_OR_RETURN(v1::Job job, ports_.jobs->Get(id));
    if (job.state() == v1::Job::SUCCEEDED) continue;
    if (job.state() != v1::Job::FAILED && job.state() != v1::Job::CANCELLED) return false;
    // A promotion is not undone because it could not be looked at once.
    ATTUNE_RETURN_IF_ERROR(Commit(
        record, "not_compared", window + ": " + id + " did not end well: " + job.reason(), clear));
    return true;
  }
  v1::GateFacts facts;
  facts.mutable_spec()->set_seed(record->spec.gates().seed());
  v1::Retention* gate = facts.mutable_spec()->add_retention();
  gate->set_name(kSuite);
  gate->set_dataset(record->spec.data().observe());
  gate->set_split("validation");
  gate->mutable_metric()->set_name("loss");
  gate->set_budget(rollback.live_loss_increase());
  gate->set_confidence(rollback.confidence());
  ATTUNE_ASSIGN_OR_RETURN(
      *facts.mutable_candidate(),
      ReadFacts(record->update.candidate(), record->watch_candidate_job, record->evaluation));
  ATTUNE_ASSIGN_OR_RETURN(
      *facts.mutable_champion(),
      ReadFacts(record->update.champion(), record->watch_champion_job, record->evaluation));
  Join(facts.mutable_candidate());
  Join(facts.mutable_champion());
  v1::EvaluateRequest joined;
  joined.add_suites()->set_name(kSuite);
  joined.mutable_suites(0)->set_dataset(record->evaluation.suites(0).dataset());
  ATTUNE_RETURN_IF_ERROR(AddProofs(&facts, joined));
  ATTUNE_ASSIGN_OR_RETURN(v1::GateReport report, ports_.decide(facts));
  const v1::GateResult* gate_result = RetentionOf(report);
  if (report.skills_size() == 0 || gate_result == nullptr ||
      gate_result->examples() < gates::kMinExamples) {
    // Too few examples: nothing was seen.
    ATTUNE_RETURN_IF_ERROR(Commit(record, "not_compared", window + ": " + report.summary(), clear));
    return true;
  }
  const v1::SkillChange& change = report.skills(0);
  std::string numbers = window + ": loss " + Number(change.after()) + " against " +
                        Number(change.before()) + " of " + record->update.champion() +
                        ", a difference of " + Number(change.worse_by()) + " (" +
                        Number(change.lower()) + " to " + Number(change.upper()) + ")";
  if (gate_result->verdict() != v1::GateReport::FAILED ||
      !(change.lower() > rollback.live_loss_increase())) {
    ATTUNE_RETURN_IF_ERROR(Commit(record, "compared", numbers, [&](UpdateRecord* changed) {
      clear(changed);
      ++changed->watched;
      changed->update.set_reason(numbers);
    }));
    return true;
  }
  AliasMove move;
  move.model = record->spec.promote().model();
  move.alias = record->spec.promote().alias();
  move.from = VersionOf(record->update.candidate());
  move.to = VersionOf(record->update.champion());
  move.rollback = true;
  move.schedule = record->update.schedule();
  move.reason = "worse on live data in " + numbers;
  move.update = record->update.id();
  Status back = Commit(
      record, "rolled_back", move.reason,
      [&](UpdateRecord* changed) {
        clear(changed);
        changed->update.set_state(v1::Update::ROLLED_BACK);
        changed->update.set_reason(move.reason + ", above " +
                                   Number(rollback.live_loss_increase()));
        SetTime(changed->update.mutable_ended(), ports_.clock->Now());
      },
      [&](Transaction& transaction) { return ports_.models->MoveAlias(transaction, move); });
  if (back.code() == StatusCode::kFailedPrecondition) {
    return Unavailable("the alias moved meanwhile");  // seen at the next look
  }
  ATTUNE_RETURN_IF_ERROR(back);
  return true;
}

}  // namespace attune::retraining
