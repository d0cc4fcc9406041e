// attune dataset delete, diff and sample.

#include "common/spec/json.h"
#include "tools/cli/dataset_rows.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/session.h"

namespace attune::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::minutes kLongDeadline{10};  // many shards to read or to remove

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

// "would go", and why not.
std::vector<Table::Cell> DeletedRow(const v1::DeleteDatasetsResponse::Item& item,
                                    const v1::DeleteDatasetsRequest& request) {
  const bool stays = !item.in_use().empty() || (!item.needed_by().empty() && !request.force());
  const char* what = !request.dry_run() ? "deleted" : stays ? "cannot go" : "would go";
  const std::string& why = item.in_use().empty() ? item.needed_by() : item.in_use();
  return {item.dataset(),
          FormatBytes(static_cast<double>(item.bytes())),
          {what, request.dry_run() && stays ? Style::kYellow : Style::kGreen},
          why};
}

Result<int> RunDelete(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::DeleteDatasetsRequest request;
  request.set_request_id(NewId("req"));
  request.set_dataset(arguments.Get("DATASET"));
  request.set_all(arguments.Has("--all"));
  request.set_force(arguments.Has("--force"));
  request.set_dry_run(arguments.Has("--dry-run"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::DeleteDatasetsResponse response,
      client->Call(client->datasets(), &v1::DatasetService::Stub::DeleteDatasets, request,
                   kLongDeadline));
  std::vector<Json> items;
  std::vector<std::string> names;
  Table table({{.header = "DATASET", .shrinks = true},
               {.header = "SIZE", .right = true},
               {.header = "VERSION"},
               {.header = "NEEDED BY", .shrinks = true}});
  for (const auto& item : response.items()) {
    items.push_back(spec::ToJson(item));
    names.push_back(item.dataset());
    table.Add(DeletedRow(item, request));
  }
  session.printer().List(items, names, table, "there is no such version");
  session.Say(std::string(request.dry_run() ? "would free " : "freed ") +
              FormatBytes(static_cast<double>(response.bytes_freed())));
  return kExitOk;
}

Result<int> RunDiff(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::DiffDatasetsRequest request;
  request.set_before(arguments.Get("BEFORE"));
  request.set_after(arguments.Get("AFTER"));
  request.set_examples(static_cast<uint32_t>(arguments.Whole("--examples")));
  ATTUNE_ASSIGN_OR_RETURN(v1::DatasetDiff diff,
                          client->Call(client->datasets(), &v1::DatasetService::Stub::DiffDatasets,
                                       request, kLongDeadline));
  session.printer().Object(spec::ToJson(diff), diff.before() + ".." + diff.after(),
                           DiffCard(diff, View(session)));
  return kExitOk;
}

// The drawn rows as JSON lines.
Result<std::string> DrawRows(Client* client, const v1::SampleDatasetRequest& request) {
  auto context = client->NewContext(kLongDeadline);
  auto reader = client->datasets().SampleDataset(context.get(), request);
  std::string lines;
  v1::DatasetLines part;
  while (reader->Read(&part)) lines += part.data();
  grpc::Status status = reader->Finish();
  if (!status.ok()) return client->Explain(status);
  return lines;
}

Result<int> RunSample(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::SampleDatasetRequest request;
  request.set_dataset(arguments.Get("DATASET"));
  request.set_split(arguments.Has("--split") ? arguments.Get("--split") : "");
  request.set_examples(static_cast<uint32_t>(arguments.Whole("--examples")));
  request.set_seed(static_cast<uint64_t>(arguments.Whole("--seed")));
  ATTUNE_ASSIGN_OR_RETURN(const std::string lines, DrawRows(client, request));
  std::vector<Json> rows;
  std::vector<std::string> names;
  std::string text;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size());
    rows.push_back(Json::parse(lines.substr(begin, end - begin), nullptr, false));
    if (!rows.back().is_object()) return DataLoss("the coordinator sent what is no row");
    names.push_back(rows.back().value("id", ""));
    text += (text.empty() ? "" : "\n") + RowText(rows.back(), View(session));
    begin = end + 1;
  }
  if (session.printer().human()) {
    session.printer().out() << text;
    if (rows.empty()) session.Say("there is no example to draw");
    return kExitOk;
  }
  session.printer().List(rows, names, Table({}), "");
  return kExitOk;
}

}  // namespace

void AddDatasetVersionCommands(std::vector<Command>* commands) {
  commands->push_back(
      {.noun = "dataset",
       .verb = "diff",
       .summary = "what changed from one version to another",
       .details = "Examples that were added, removed, moved to another split, or whose metadata "
                  "changed, and what the two store together and alone.",
       .arguments = {{.name = "BEFORE",
                      .doc = "NAME (newest version) or NAME@VERSION.",
                      .required = true,
                      .completes = Completes::kDataset},
                     {.name = "AFTER",
                      .doc = "The same; of any name.",
                      .required = true,
                      .completes = Completes::kDataset}},
       .options = {{.name = "--examples",
                    .value = "N",
                    .doc = "Show so many of each kind of change.",
                    .type = ValueType::kWhole,
                    .fallback = "3"}},
       .examples = {"attune dataset diff chats@1 chats@2",
                    "attune dataset diff chats@1 chats -o json"},
       .run = RunDiff});
  commands->push_back(
      {.noun = "dataset",
       .verb = "sample",
       .summary = "show some rows, each equally likely",
       .details =
           "The same seed draws the same rows of a version. -o jsonl prints them as they are "
           "stored.",
       .arguments = {{.name = "DATASET",
                      .doc = "NAME (newest version) or NAME@VERSION.",
                      .required = true,
                      .completes = Completes::kDataset}},
       .options = {{.name = "--examples",
                    .value = "N",
                    .doc = "How many, at most 10000.",
                    .short_name = "-n",
                    .type = ValueType::kWhole,
                    .fallback = "5"},
                   {.name = "--split",
                    .value = "SPLIT",
                    .doc = "Of this split alone.",
                    .words = {"train", "validation", "unlabelled"}},
                   {.name = "--seed",
                    .value = "N",
                    .doc = "Another one draws other rows.",
                    .type = ValueType::kWhole,
                    .fallback = "0"}},
       .examples = {"attune dataset sample chats -n 3", "attune dataset sample chats@2 -o jsonl"},
       .run = RunSample});
  commands->push_back(
      {.noun = "dataset",
       .verb = "delete",
       .summary = "remove a version, or all of a name",
       .details =
           "Versions share what they have in common; what only this one has is freed. Its number "
           "is "
           "not given out again. Refused while a job, an update or a window needs it. What an "
           "alias's model was trained on, what a schedule would ask for next and what a stream is "
           "held against goes only with --force.",
       .arguments = {{.name = "DATASET",
                      .doc = "NAME@VERSION, or NAME with --all.",
                      .required = true,
                      .completes = Completes::kDataset}},
       .options = {{.name = "--all", .doc = "Every version of the name."},
                   {.name = "--force", .doc = "Although something may ask for it later."},
                   {.name = "--dry-run", .doc = "Only say what would go, and what needs it."}},
       .examples = {"attune dataset delete chats --all --dry-run", "attune dataset delete chats@1"},
       .run = RunDelete});
}

}  // namespace attune::cli
