// DECIDING: from the evaluations' lines to a verdict, and what follows from it.

#include <map>
#include <set>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/gates/facts.h"
#include "common/gates/lines.h"
#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/requests_of.h"

namespace attune::retraining {
Result<v1::EvaluationFacts> Controller::ReadFacts(const std::string& model, const std::string& job,
                                                  const v1::EvaluateRequest& request) {
  v1::EvaluateRequest asked = request;
  asked.set_model(model);
  gates::FactsReader reader(model, job, asked);
  Status read =
      ports_.jobs->ReadOutput(job, [&](std::string_view line) { return reader.AddLine(line); });
  // The folder may be away for a while.
  if (read.code() == StatusCode::kNotFound) read = Unavailable(read.message());
  ATTUNE_RETURN_IF_ERROR(read.WithContext("the output of " + job));
  auto facts = reader.Finish();
  if (!facts.ok()) return facts.status().WithContext("the output of " + job);
  return facts;
}

// Every data set that was trained on, back to the imports.
Result<std::vector<std::string>> Controller::Lineage(const std::vector<std::string>& models) {
  std::set<std::string> datasets, seen;
  std::vector<std::string> open = models;
  while (!open.empty()) {
    std::string reference = open.back();
    open.pop_back();
    if (reference.empty() || !seen.insert(reference).second) continue;
    if (seen.size() > kLineageMax) {
      return FailedPrecondition("the lineage of " + models.front() + " is longer than " +
                                std::to_string(kLineageMax) + " versions");
    }
    ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion version, ports_.models->Get(reference));
    for (const std::string& dataset : version.lineage().datasets()) datasets.insert(dataset);
    open.push_back(version.lineage().base());
    open.push_back(version.base());
  }
  return std::vector<std::string>(datasets.begin(), datasets.end());
}

Status Controller::AddProofs(v1::GateFacts* facts, const v1::EvaluateRequest& request) {
  std::vector<std::string> models = {facts->candidate().model()};
  if (facts->has_champion()) models.push_back(facts->champion().model());
  ATTUNE_ASSIGN_OR_RETURN(std::vector<std::string> trained_on, Lineage(models));
  std::map<std::string, std::set<std::string, std::less<>>> ids, found;
  for (const v1::ExampleFacts& example : facts->candidate().examples()) {
    ids[example.suite()].insert(example.id());
  }
  for (const std::string& dataset : trained_on) {
    Status read = ports_.datasets->ForEachId(dataset, "train", [&](std::string_view id) {
      for (const auto& [suite, known] : ids) {
        if (known.contains(id)) found[suite].emplace(id);
      }
    });
    ATTUNE_RETURN_IF_ERROR(read.WithContext("looking through what models were trained on"));
  }
  for (const v1::Suite& suite : request.suites()) {
    v1::SuiteProof* proof = facts->add_proofs();
    proof->set_suite(suite.name());
    proof->set_dataset(suite.dataset());
    proof->set_examples(ids[suite.name()].size());
    for (const std::string& dataset : trained_on) proof->add_trained_on(dataset);
    for (const std::string& id : found[suite.name()]) proof->add_seen_ids(id);
  }
  return Status();
}

Result<v1::GateFacts> Controller::CollectFacts(const UpdateRecord& record) {
  const v1::Update& update = record.update;
  v1::GateFacts facts;
  *facts.mutable_spec() = record.spec.gates();
  ATTUNE_ASSIGN_OR_RETURN(
      *facts.mutable_candidate(),
      ReadFacts(update.candidate(), update.evaluation_job_ids(0), record.evaluation));
  if (update.evaluation_job_ids_size() > 1) {
    ATTUNE_ASSIGN_OR_RETURN(
        *facts.mutable_champion(),
        ReadFacts(update.champion(), update.evaluation_job_ids(1), record.evaluation));
  }
  ATTUNE_RETURN_IF_ERROR(AddProofs(&facts, record.evaluation));
  return facts;
}

Result<v1::GateReport> Controller::SaveFacts(const v1::GateFacts& facts, const std::string& update,
                                             v1::GateReport report) {
  const std::filesystem::path folder = ports_.storage / "gates";
  const std::filesystem::path path = folder / (update + ".facts");
  const std::string bytes = gates::SerializeFacts(facts);
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(path, bytes));
  report.set_facts_checksum(Sha256Hex(bytes));
  report.set_facts_path(path.string());
  return report;
}

Result<bool> Controller::Decide(UpdateRecord* record) {
  ATTUNE_ASSIGN_OR_RETURN(v1::GateFacts facts, CollectFacts(*record));
  ATTUNE_ASSIGN_OR_RETURN(v1::GateReport report, ports_.decide(facts));
  *report.mutable_job_ids() = record->update.evaluation_job_ids();
  ATTUNE_ASSIGN_OR_RETURN(report, SaveFacts(facts, record->update.id(), std::move(report)));
  Status promoted = Promote(record, report);
  if (promoted.code() == StatusCode::kFailedPrecondition) {
    return ChampionMoved(record, promoted);
  }
  ATTUNE_RETURN_IF_ERROR(promoted);
  return true;
}

// The verdict, its report and the alias in one transaction. kFailedPrecondition: the champion is
// another one than the candidate was compared with.
Status Controller::Promote(UpdateRecord* record, const v1::GateReport& report) {
  const v1::PromoteSpec& promote = record->spec.promote();
  const bool passed = report.verdict() == v1::GateReport::PASSED;
  const bool watched = promote.rollback().live_loss_increase() > 0 && ports_.live != nullptr &&
                       !record->update.champion().empty() && !record->spec.data().observe().empty();
  v1::Update::State state = v1::Update::KEPT;
  if (passed && !promote.manual()) state = watched ? v1::Update::WATCHING : v1::Update::PROMOTED;
  uint64_t window = 0;
  if (state == v1::Update::WATCHING) {
    ATTUNE_ASSIGN_OR_RETURN(v1::Stream stream, ports_.live->Get(record->spec.data().observe()));
    window = stream.windows();
  }
  std::string reason = report.summary();
  if (passed && promote.manual()) {
    reason += "; promote it by `attune model promote " + record->update.candidate() + " --alias " +
              promote.alias() + "`";
  }
  AliasMove move;
  move.model = promote.model();
  move.alias = promote.alias();
  move.from = VersionOf(record->update.champion());
  move.to = VersionOf(record->update.candidate());
  move.schedule = record->update.schedule();
  move.reason = report.summary();
  move.update = record->update.id();
  auto change = [&](UpdateRecord* changed) {
    changed->update.set_state(state);
    changed->update.set_reason(reason);
    *changed->update.mutable_report() = report;
    changed->watch_after = window;
    if (state != v1::Update::KEPT) {
      jobs::SetTimestamp(changed->update.mutable_promoted(), ports_.clock->Now());
    }
    if (IsFinal(state)) jobs::SetTimestamp(changed->update.mutable_ended(), ports_.clock->Now());
  };
  auto also = [&](Transaction& transaction) -> Status {
    ports_.models->SaveGateReport(transaction, report);
    if (state != v1::Update::KEPT) return ports_.models->MoveAlias(transaction, move);
    ATTUNE_ASSIGN_OR_RETURN(uint32_t now_at,
                            ports_.models->AliasVersion(transaction, move.model, move.alias));
    if (passed && now_at != move.from) return FailedPrecondition("the champion moved");
    return Status();
  };
  return Commit(record, state == v1::Update::KEPT ? "kept" : "promoted", reason, change, also);
}

Result<bool> Controller::ChampionMoved(UpdateRecord* record, const Status& refused) {
  ATTUNE_ASSIGN_OR_RETURN(std::string champion, Champion(record->spec.promote()));
  if (champion == record->update.champion()) {
    return refused.WithContext("the alias " + record->spec.promote().alias() +
                               " cannot be moved to " + record->update.candidate());
  }
  if (record->rounds >= kRoundsMax) {
    ATTUNE_RETURN_IF_ERROR(Finish(record, v1::Update::KEPT,
                                  "the champion changed " + std::to_string(kRoundsMax) +
                                      " times while the candidate was compared with it"));
    return true;
  }
  std::string message = "the champion became " + (champion.empty() ? "none" : champion) +
                        " meanwhile: compares again";
  ATTUNE_RETURN_IF_ERROR(Commit(record, "champion_moved", message, [&](UpdateRecord* changed) {
    changed->update.set_state(v1::Update::EVALUATING);
    changed->update.set_reason(message);
    changed->update.set_champion(champion);
    changed->update.clear_evaluation_job_ids();
    ++changed->rounds;
  }));
  return true;
}

}  // namespace attune::retraining
