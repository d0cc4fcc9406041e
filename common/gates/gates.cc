#include "common/gates/gates.h"

#include <string>
#include <utility>
#include <vector>

#include "common/base/text.h"
#include "common/gates/artifact.h"
#include "common/gates/check.h"
#include "common/gates/quality.h"
#include "common/gates/suites.h"

namespace attune::gates {
namespace {

constexpr size_t kMaxReasons = 3;

void Append(std::vector<v1::GateResult> results, v1::GateReport* report) {
  for (v1::GateResult& result : results) *report->add_gates() = std::move(result);
}

// The suites that the spec's gates measure on, as they first occur.
std::vector<std::string> SuitesOf(const v1::GatesSpec& spec, bool has_champion) {
  std::vector<std::string> suites;
  if (!spec.goals().empty() || (spec.champion().required() && has_champion)) {
    suites.push_back(kGoalSuite);
  }
  if (has_champion) {
    for (const v1::Retention& retention : spec.retention()) suites.push_back(retention.name());
  }
  return suites;
}

Status AddQualityGates(const v1::GateFacts& facts, const Suites& suites, v1::GateReport* report) {
  const v1::GatesSpec& spec = facts.spec();
  for (const std::string& suite : SuitesOf(spec, facts.has_champion())) {
    ATTUNE_ASSIGN_OR_RETURN(*report->add_gates(), UntouchedGate(suites, suite));
  }
  for (const v1::Goal& goal : spec.goals()) {
    ATTUNE_ASSIGN_OR_RETURN(auto results, GoalGates(suites, goal, spec));
    Append(std::move(results), report);
  }
  if (spec.champion().required()) {
    ATTUNE_ASSIGN_OR_RETURN(*report->add_gates(), ChampionGate(suites, spec, facts.has_champion()));
  }
  for (const v1::Retention& retention : spec.retention()) {
    ATTUNE_ASSIGN_OR_RETURN(RetentionResult result,
                            RetentionGate(suites, retention, spec, facts.has_champion()));
    *report->add_gates() = std::move(result.gate);
    if (result.skill) *report->add_skills() = std::move(*result.skill);
  }
  return Status();
}

bool ComparesWithChampion(const v1::GateResult& gate) {
  return gate.gate() == "champion" || gate.gate() == "retention";
}

v1::GateReport::Verdict VerdictOf(const v1::GateReport& report) {
  v1::GateReport::Verdict verdict = v1::GateReport::PASSED;
  bool alike = true;
  for (const v1::GateResult& gate : report.gates()) alike &= gate.gate() != "alike";
  for (const v1::GateResult& gate : report.gates()) {
    const bool counts = alike || !ComparesWithChampion(gate);
    if (counts && gate.verdict() == v1::GateReport::FAILED) return v1::GateReport::FAILED;
    if (gate.verdict() != v1::GateReport::PASSED) verdict = v1::GateReport::INCONCLUSIVE;
  }
  return verdict;
}

std::string PassedSummary(const v1::GateReport& report) {
  std::string summary = "passed all " + CountOf(static_cast<uint64_t>(report.gates_size()), "gate");
  for (const char* kind : {"champion", "goal"}) {
    for (const v1::GateResult& gate : report.gates()) {
      if (gate.gate() != kind) continue;
      summary += ": " + gate.explanation();
      if (!report.skills().empty()) {
        summary += "; " + CountOf(static_cast<uint64_t>(report.skills_size()), "skill") + " kept";
      }
      return summary;
    }
  }
  return summary;
}

// One sentence: the first gates that decide, and how many more do.
std::string SummaryOf(const v1::GateReport& report) {
  if (report.verdict() == v1::GateReport::PASSED) return PassedSummary(report);
  std::string summary;
  size_t deciding = 0;
  for (const v1::GateResult& gate : report.gates()) {
    if (gate.verdict() != report.verdict()) continue;
    if (++deciding > kMaxReasons) continue;
    summary += (summary.empty() ? "" : "; ") + gate.explanation();
  }
  if (deciding > kMaxReasons) {
    summary += "; and " + CountOf(deciding - kMaxReasons, "more gate");
  }
  return (report.verdict() == v1::GateReport::FAILED ? "refused: " : "undecided: ") + summary;
}

}  // namespace

Result<v1::GateReport> Decide(const v1::GateFacts& facts) {
  ATTUNE_RETURN_IF_ERROR(CheckSpec(facts.spec()));
  ATTUNE_ASSIGN_OR_RETURN(Suites suites, Suites::Make(facts));
  v1::GateReport report;
  report.set_candidate(facts.candidate().model());
  report.set_champion(facts.champion().model());
  report.set_measured(MeasuredIn(facts.candidate().artifact()));
  Append(AlikeGates(facts), &report);
  ATTUNE_RETURN_IF_ERROR(AddQualityGates(facts, suites, &report));
  ATTUNE_ASSIGN_OR_RETURN(auto smoke, SmokeGates(facts));
  Append(std::move(smoke), &report);
  Append(LimitGates(facts.spec().limits(), facts.candidate().artifact()), &report);
  report.set_verdict(VerdictOf(report));
  report.set_summary(SummaryOf(report));
  return report;
}

}  // namespace attune::gates
