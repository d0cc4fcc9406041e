#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/job_view.h"

namespace attune::cli {
namespace {

constexpr int kProblemsShown = 20;

std::string Count(uint64_t count) {
  return std::to_string(count);
}

std::string Steps(uint32_t first, uint32_t last) {
  return first == last ? std::to_string(first) : std::to_string(first) + "-" + std::to_string(last);
}

bool AsPlanned(const v1::JobLedger& ledger) {
  return ledger.missing() == 0 && ledger.repeated() == 0 && ledger.problems_size() == 0;
}

std::string Verdict(const v1::JobLedger& ledger) {
  if (!AsPlanned(ledger)) return "not as planned";
  if (ledger.to_come() == 0) return "every example was used exactly as planned";
  return "as planned up to step " + std::to_string(ledger.applied_steps());
}

std::string EpochTable(const v1::JobLedger& ledger, const ViewOptions& view) {
  Table table({{"EPOCH", true},
               {"EXAMPLES", true},
               {"USED", true},
               {"MISSING", true},
               {"REPEATED", true},
               {"TO COME", true}});
  for (const v1::LedgerEpoch& epoch : ledger.epochs()) {
    const auto bad = [](uint64_t count) {
      return Table::Cell(Count(count), count > 0 ? Style::kRed : Style::kNone);
    };
    table.Add({Count(epoch.epoch()), Count(epoch.examples()), Count(epoch.used()),
               bad(epoch.missing()), bad(epoch.repeated()), Count(epoch.to_come())});
  }
  return table.Render(view.width, view.color);
}

std::string AppliedTable(const v1::JobLedger& ledger, const ViewOptions& view) {
  Table table({{"ATTEMPT", true},
               {"RANKS", true},
               {"STEPS"},
               {"IN THE MODEL"},
               {.header = "WHY", .shrinks = true}});
  for (const v1::LedgerSteps& steps : ledger.applied()) {
    table.Add({Count(steps.generation()), Count(steps.ranks()), Steps(steps.first(), steps.last()),
               steps.kept() ? "yes" : "no, done again", steps.why()});
  }
  return table.Render(view.width, view.color);
}

std::string ProblemLines(const v1::JobLedger& ledger) {
  std::string lines;
  for (int i = 0; i < std::min(kProblemsShown, ledger.problems_size()); ++i) {
    const v1::LedgerProblem& problem = ledger.problems(i);
    lines += (lines.empty() ? "" : "\n") + std::string("step ") + std::to_string(problem.step()) +
             ": " + v1::LedgerProblem::Kind_Name(problem.kind()) + ", " +
             Count(problem.planned_examples()) + " examples planned, " +
             Count(problem.applied_examples()) + " applied" +
             (problem.generation() > 0 ? " by attempt " + Count(problem.generation()) : "");
  }
  const uint64_t more = ledger.problems_left_out() +
                        static_cast<uint64_t>(std::max(0, ledger.problems_size() - kProblemsShown));
  return lines + (more > 0 ? "\nand " + Count(more) + " more" : "");
}

std::string LedgerCard(const v1::JobLedger& ledger, const ViewOptions& view) {
  Card card(view);
  card.Title("Ledger of " + ledger.job_id());
  card.Row("Verdict", Verdict(ledger), AsPlanned(ledger) ? Style::kGreen : Style::kRed);
  card.Row("Examples",
           Count(ledger.examples()) + " planned, " + Count(ledger.used()) + " used, " +
               Count(ledger.missing()) + " missing, " + Count(ledger.repeated()) + " repeated" +
               (ledger.to_come() > 0 ? ", " + Count(ledger.to_come()) + " to come" : ""));
  card.Row("Steps", Count(ledger.applied_steps()) + " of " + Count(ledger.steps()) + ", " +
                        Count(ledger.reported_steps()) + " also reported");
  card.Row("Plan",
           ledger.plan_file() + ", " + FormatBytes(static_cast<double>(ledger.plan_bytes())));
  card.Row("Problems", ProblemLines(ledger), Style::kRed);
  return card.Render() + "\n" + EpochTable(ledger, view) + "\n" + AppliedTable(ledger, view);
}

Result<int> ListUses(Session& session, Client& client, v1::GetLedgerRequest request) {
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  Table table({{"ID"}, {"EPOCH", true}, {"STEP", true}});
  do {
    ATTUNE_ASSIGN_OR_RETURN(const v1::JobLedger page,
                            client.Call(client.jobs(), &v1::JobService::Stub::GetLedger, request));
    for (const v1::LedgerUse& use : page.uses()) {
      items.push_back(spec::ToJson(use));
      names.push_back(use.id());
      table.Add({use.id(), Count(use.epoch()), Count(use.step())});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  session.printer().List(items, names, table, "none");
  return items.empty() ? kExitOk : kExitFailed;
}

}  // namespace

Result<int> RunJobLedger(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::GetLedgerRequest request;
  request.set_id(arguments.Get("JOB"));
  if (const std::string which = arguments.Get("--list"); !which.empty()) {
    request.set_list(which == "missing" ? v1::GetLedgerRequest::MISSING
                                        : v1::GetLedgerRequest::REPEATED);
    return ListUses(session, *client, request);
  }
  ATTUNE_ASSIGN_OR_RETURN(const v1::JobLedger ledger,
                          client->Call(client->jobs(), &v1::JobService::Stub::GetLedger, request));
  auto json = spec::ToJson(ledger);
  for (const char* key : {"uses", "next_page_token"}) json.erase(key);
  session.printer().Object(json, ledger.job_id(),
                           LedgerCard(ledger, {.now = session.io().clock->Now(),
                                               .width = session.printer().width(),
                                               .color = session.printer().color()}));
  return AsPlanned(ledger) ? kExitOk : kExitFailed;
}

}  // namespace attune::cli
