// WATCHING: the new champion against the old one on live data, and the way back.

#include "common/base/text.h"
#include "common/gates/measure.h"
#include "common/gates/text.h"
#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/requests_of.h"

namespace attune::retraining {
namespace {

constexpr const char* kSuite = "live";
constexpr std::chrono::hours kWatchMax{14 * 24};  // live data with answers may never come

// A window's two splits are one suite: rows of it that were trained on are left out as in others.
void Join(v1::EvaluationFacts* facts) {
  for (v1::ExampleFacts& example : *facts->mutable_examples()) example.set_suite(kSuite);
}

std::string EndOfWatch(const UpdateRecord& record, bool old) {
  const uint32_t looked_at = record.update.windows_looked_at();
  std::string text = old ? "the watch ends after 14 days: " : "";
  text += CountOf(looked_at, "window") + " of live data " + (looked_at == 1 ? "was" : "were") +
          " watched";
  if (record.watched == 0) return text + ", and none could be compared: nothing is known";
  if (record.watched < looked_at) text += ", " + std::to_string(record.watched) + " compared";
  return text + ": not worse than " + record.update.champion();
}

const v1::GateResult* GateOf(const v1::GateReport& report, std::string_view name) {
  for (const v1::GateResult& gate : report.gates()) {
    if (gate.gate() == name) return &gate;
  }
  return nullptr;
}

}  // namespace

Result<bool> Controller::Watch(UpdateRecord* record) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string moved, MovedMeanwhile(*record));
  if (!moved.empty()) {
    ATTUNE_RETURN_IF_ERROR(Finish(
        record, v1::Update::PROMOTED,
        moved + "; it was watched on " + CountOf(record->watched, "window") + " of live data"));
    return true;
  }
  const v1::Update& update = record->update;
  const bool old = update.has_promoted() &&
                   ports_.clock->Now() - jobs::GetTimestamp(update.promoted()) >= kWatchMax;
  if (ports_.live == nullptr || old ||
      update.windows_looked_at() >= record->spec.promote().rollback().windows()) {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::PROMOTED, EndOfWatch(*record, old)));
    return true;
  }
  return record->watch_candidate_job.empty() ? WatchNext(record) : Compare(record);
}

// Away and back counts too: a rollback would lead elsewhere then, and whoever moved it has decided.
Result<std::string> Controller::MovedMeanwhile(const UpdateRecord& record) {
  const v1::PromoteSpec& promote = record.spec.promote();
  std::optional<v1::AliasMove> last;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    last = ports_.models->LastMove(transaction, promote.model(), promote.alias());
    return Status();
  }));
  if (last && last->evidence() == record.update.id()) return std::string();
  const std::string what = "the alias " + promote.alias() + " was ";
  if (!last) return what + "removed meanwhile";
  return what +
         (last->to_version() == 0 ? "deleted"
                                  : "moved to " + Reference(promote.model(), last->to_version())) +
         " by " + last->actor() + " meanwhile" +
         (last->reason().empty() ? "" : " (" + last->reason() + ")");
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

// The next window with labelled examples that is not excluded: both models are measured on it.
Result<bool> Controller::WatchNext(UpdateRecord* record) {
  const std::string& id = record->update.id();
  ATTUNE_ASSIGN_OR_RETURN(auto windows,
                          WindowsAfter(record->spec.data().observe(), record->watch_after));
  for (const v1::Window& window : windows) {
    if (window.labelled() == 0 || window.excluded()) continue;
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

Result<std::string> Controller::ExcludedMeanwhile(const UpdateRecord& record) {
  ATTUNE_ASSIGN_OR_RETURN(
      const std::vector<v1::Window> windows,
      ports_.live->Windows(record.spec.data().observe(), record.watch_after - 1, 1));
  const bool excluded =
      !windows.empty() && windows[0].number() == record.watch_after && windows[0].excluded();
  return excluded ? "it was excluded: " + windows[0].excluded_reason() : std::string();
}

Result<v1::GateFacts> Controller::LiveFacts(const UpdateRecord& record) {
  const v1::RollbackSpec& rollback = record.spec.promote().rollback();
  v1::GateFacts facts;
  facts.mutable_spec()->set_seed(record.spec.gates().seed());
  v1::Retention* gate = facts.mutable_spec()->add_retention();
  gate->set_name(kSuite);
  gate->set_dataset(record.spec.data().observe());
  gate->set_split("validation");
  gate->mutable_metric()->set_name("loss");
  gate->set_budget(rollback.live_loss_increase());
  gate->set_confidence(rollback.confidence());
  ATTUNE_ASSIGN_OR_RETURN(
      *facts.mutable_candidate(),
      ReadFacts(record.update.candidate(), record.watch_candidate_job, record.evaluation));
  ATTUNE_ASSIGN_OR_RETURN(
      *facts.mutable_champion(),
      ReadFacts(record.update.champion(), record.watch_champion_job, record.evaluation));
  Join(facts.mutable_candidate());
  Join(facts.mutable_champion());
  v1::EvaluateRequest joined;
  joined.add_suites()->set_name(kSuite);
  joined.mutable_suites(0)->set_dataset(record.evaluation.suites(0).dataset());
  ATTUNE_RETURN_IF_ERROR(AddProofs(&facts, joined));
  return facts;
}

Result<bool> Controller::Compare(UpdateRecord* record) {
  const double limit = record->spec.promote().rollback().live_loss_increase();
  const std::string window = "window " + std::to_string(record->watch_after);
  ATTUNE_ASSIGN_OR_RETURN(double hours, HoursOfJobs(*record));
  auto forget = [&](UpdateRecord* changed) {
    changed->update.set_gpu_hours(hours);
    changed->watch_candidate_job.clear();
    changed->watch_champion_job.clear();
  };
  auto clear = [&](UpdateRecord* changed) {
    forget(changed);
    changed->update.set_windows_looked_at(changed->update.windows_looked_at() + 1);
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
  ATTUNE_ASSIGN_OR_RETURN(const std::string excluded, ExcludedMeanwhile(*record));
  if (!excluded.empty()) {
    ATTUNE_RETURN_IF_ERROR(Commit(record, "not_compared", window + ": " + excluded, forget));
    return true;
  }
  ATTUNE_ASSIGN_OR_RETURN(const v1::GateFacts facts, LiveFacts(*record));
  ATTUNE_ASSIGN_OR_RETURN(v1::GateReport report, ports_.decide(facts));
  const v1::GateResult* gate = GateOf(report, "retention");
  if (report.skills_size() == 0 || gate == nullptr || gate->examples() < gates::kMinExamples ||
      GateOf(report, "alike") != nullptr) {
    // Too few examples, or numbers of two kinds: nothing was seen.
    ATTUNE_RETURN_IF_ERROR(Commit(record, "not_compared", window + ": " + report.summary(), clear));
    return true;
  }
  const v1::SkillChange& change = report.skills(0);
  const std::string sure = gates::WorseByBound(change.worse_by(), gates::Side::kAtLeast,
                                               change.lower(), change.confidence());
  std::string numbers = window + ": loss " + ShortNumber(change.after()) + " against " +
                        ShortNumber(change.before()) + " of " + record->update.champion() + ", " +
                        gates::WorseBy(change.worse_by()) + " (" + sure + ")";
  if (gate->verdict() == v1::GateReport::FAILED && change.lower() > limit) {
    ATTUNE_RETURN_IF_ERROR(RollBack(record, "worse on live data in " + numbers, clear));
    return true;
  }
  ATTUNE_RETURN_IF_ERROR(Commit(record, "compared", numbers, [&](UpdateRecord* changed) {
    clear(changed);
    ++changed->watched;
    changed->update.set_reason(numbers);
  }));
  return true;
}

Status Controller::RollBack(UpdateRecord* record, const std::string& reason,
                            const std::function<void(UpdateRecord*)>& clear) {
  AliasMove move;
  move.model = record->spec.promote().model();
  move.alias = record->spec.promote().alias();
  move.from = VersionOf(record->update.candidate());
  move.to = VersionOf(record->update.champion());
  move.rollback = true;
  move.schedule = record->update.schedule();
  move.reason = reason;
  move.update = record->update.id();
  const double limit = record->spec.promote().rollback().live_loss_increase();
  Status back = Commit(
      record, "rolled_back", reason,
      [&](UpdateRecord* changed) {
        clear(changed);
        changed->update.set_state(v1::Update::ROLLED_BACK);
        changed->update.set_reason(reason + ", above " + ShortNumber(limit));
        jobs::SetTimestamp(changed->update.mutable_ended(), ports_.clock->Now());
      },
      [&](Transaction& transaction) { return ports_.models->MoveAlias(transaction, move); });
  if (back.code() != StatusCode::kFailedPrecondition) return back;
  // Asked again it would be refused again.
  ATTUNE_ASSIGN_OR_RETURN(const std::string moved, MovedMeanwhile(*record));
  const std::string refused =
      reason + "; not rolled back: " + (moved.empty() ? back.message() : moved);
  return Commit(record, "not_rolled_back", refused, [&](UpdateRecord* changed) {
    clear(changed);
    changed->update.set_state(v1::Update::PROMOTED);
    changed->update.set_reason(refused);
    jobs::SetTimestamp(changed->update.mutable_ended(), ports_.clock->Now());
  });
}

}  // namespace attune::retraining
