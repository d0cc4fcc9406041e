#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"

namespace attune::cli {
namespace {

// "chats/a.jsonl:12"; of an example of the version that was appended to nothing.
std::string PlaceOf(const v1::Finding& finding) {
  return finding.file().empty() ? "" : finding.file() + ":" + std::to_string(finding.line());
}

Result<int> RunDropped(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListFindingsRequest request;
  request.set_dataset(arguments.Get("DATASET"));
  request.set_reason(arguments.Get("--reason"));
  request.set_kept(arguments.Has("--kept"));
  const auto limit = static_cast<size_t>(arguments.Whole("--limit"));
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> ids;
  Table table({{.header = "WHERE", .shrinks = true},
               {.header = "REASON"},
               {.header = "ACTION", .optional = true},
               {.header = "EVIDENCE", .shrinks = true},
               {.header = "FIRST WORDS", .shrinks = true, .optional = true}});
  std::string dataset;
  do {
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListFindingsResponse page,
        client->Call(client->datasets(), &v1::DatasetService::Stub::ListFindings, request));
    dataset = page.dataset();
    // Of the same version, should another be made meanwhile.
    request.set_dataset(dataset);
    for (const v1::Finding& finding : page.findings()) {
      if (items.size() >= limit) break;
      items.push_back(spec::ToJson(finding));
      ids.push_back(finding.id());
      table.Add({PlaceOf(finding), finding.reason(), finding.action(), finding.evidence(),
                 finding.words()});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && items.size() < limit);
  session.printer().List(
      items, ids, table,
      dataset + (request.kept() ? ": nothing was left out or found" : ": no example was left out") +
          (request.reason().empty() ? "" : " for " + request.reason()));
  return kExitOk;
}

}  // namespace

void AddDatasetDroppedCommand(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "dataset",
       .verb = "dropped",
       .summary = "list the examples that curation left out of a version",
       .details = "With file and line, the reason, what it was told by (another example, a "
                  "language, a length; never a secret), and the first words. The first 2,000 of "
                  "each reason are kept, 20,000 in all; `attune dataset show` has the counts. "
                  "docs/curation.md says what each reason means.",
       .arguments = {{.name = "DATASET",
                      .doc = "NAME (newest version) or NAME@VERSION.",
                      .required = true,
                      .completes = Completes::kDataset}},
       .options = {{.name = "--reason",
                    .value = "REASON",
                    .doc = "Only these: near_duplicate, near_validation, too_short, too_long, "
                           "language, contamination, pattern:NAME or pattern_too_costly:NAME."},
                   {.name = "--kept",
                    .doc = "Also the examples that were kept, in which a pattern was redacted or "
                           "reported, or which overlap an evaluation set."},
                   {.name = "--limit",
                    .value = "N",
                    .doc = "List at most so many.",
                    .short_name = "-n",
                    .type = ValueType::kWhole,
                    .fallback = "50"}},
       .examples = {"attune dataset dropped chats", "attune dataset dropped chats --kept -o jsonl"},
       .run = RunDropped});
}

}  // namespace attune::cli
