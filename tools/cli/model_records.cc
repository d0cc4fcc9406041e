// model prune, card, lineage.

#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"

namespace attune::cli {
namespace {

constexpr std::chrono::minutes kPruneDeadline{10};
constexpr size_t kLineageMax = 1000;

std::string Reference(const v1::ModelVersion& model) {
  return model.name() + "@" + std::to_string(model.version());
}

using Json = nlohmann::ordered_json;

// A data set version with those it was made of, as far as they are known.
Result<Json> DataJson(Client& client, const std::string& reference) {
  v1::GetDatasetRequest request;
  request.set_name(reference);
  auto dataset = client.Call(client.datasets(), &v1::DatasetService::Stub::GetDataset, request);
  if (!dataset.ok() && dataset.status().code() != StatusCode::kNotFound) return dataset.status();
  Json json = {{"reference", reference}};
  if (!dataset.ok()) return json;
  json["checksum"] = dataset->checksum();
  json["sources"] =
      Json(std::vector<std::string>(dataset->sources().begin(), dataset->sources().end()));
  json["appended_to"] = dataset->appended_to();
  json["composed_of"] =
      Json(std::vector<std::string>(dataset->composed_of().begin(), dataset->composed_of().end()));
  return json;
}

std::string MadeOf(const Json& data) {
  std::string text;
  for (const char* key : {"composed_of", "sources"}) {
    if (!data.contains(key)) continue;
    for (const Json& part : data[key]) {
      text += (text.empty() ? "" : ", ") + part.get<std::string>();
    }
    if (!text.empty()) break;
  }
  return text;
}

// Two columns of one version's origin; indented by its depth in the chain.
void PrintVersion(std::ostream& out, const v1::ModelVersion& model, const std::vector<Json>& data,
                  bool first, bool color) {
  const v1::Lineage& lineage = model.lineage();
  const auto line = [&](const char* key, const std::string& value) {
    if (value.empty()) return;
    out << "  " << Paint(key + std::string(12 - std::string(key).size(), ' '), Style::kDim, color)
        << value << "\n";
  };
  std::string aliases;
  for (const std::string& alias : model.aliases()) aliases += " @" + alias;
  out << (first ? "" : "└ from ") << Paint(Reference(model), Style::kBold, color) << aliases
      << (model.files_removed() ? " (files removed)" : "") << "\n";
  line("checksum", model.checksum());
  line("job", lineage.job_id());
  line("update", lineage.update());
  line("imported", lineage.job_id().empty() ? lineage.source() : "");
  for (size_t i = 0; i < data.size(); ++i) {
    const int at = static_cast<int>(i);
    const std::string checksum =
        at < lineage.dataset_checksums_size() ? lineage.dataset_checksums(at) : "";
    const std::string made_of = MadeOf(data[i]);
    line("data", data[i].value("reference", "") + (checksum.empty() ? "" : "  sha256 " + checksum));
    line("", made_of.empty() ? "" : "of " + made_of);
  }
  line("code", lineage.code_version());
}

}  // namespace

Result<int> RunModelPrune(Session& session, const Arguments& arguments) {
  if (arguments.Whole("--keep") == 0) {
    return InvalidArgument("say how many of the newest versions stay anyway: --keep N, at least 1");
  }
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::PruneModelsRequest request;
  request.set_request_id(NewId("req"));
  request.set_model(arguments.Get("NAME"));
  request.set_keep(static_cast<uint32_t>(arguments.Whole("--keep")));
  request.set_dry_run(arguments.Has("--dry-run"));
  if (arguments.Has("--rollback-steps")) {
    request.set_rollback_steps(static_cast<uint32_t>(arguments.Whole("--rollback-steps")));
  }
  ATTUNE_ASSIGN_OR_RETURN(v1::PruneModelsResponse response,
                          client->Call(client->models(), &v1::ModelService::Stub::PruneModels,
                                       request, kPruneDeadline));
  std::vector<Json> items;
  std::vector<std::string> names;  // of what goes
  Table table({{.header = "MODEL", .shrinks = true},
               {.header = "SIZE", .right = true},
               {.header = "FILES"},
               {.header = "BECAUSE", .shrinks = true}});
  for (const auto& item : response.items()) {
    const bool goes = item.kept_for().empty();
    items.push_back(spec::ToJson(item));
    if (goes) names.push_back(item.model());
    const char* what = !goes ? "kept" : request.dry_run() ? "would go" : "removed";
    table.Add({item.model(),
               FormatBytes(static_cast<double>(item.bytes())),
               {what, goes ? Style::kYellow : Style::kGreen},
               item.kept_for()});
  }
  session.printer().List(items, names, table, "no version of the model has files");
  session.Say(std::string(request.dry_run() ? "would free " : "freed ") +
              FormatBytes(static_cast<double>(response.bytes_freed())));
  return kExitOk;
}

Result<int> RunModelCard(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::GetModelCardRequest request;
  request.set_model(arguments.Get("MODEL"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::ModelCard card,
      client->Call(client->models(), &v1::ModelService::Stub::GetModelCard, request));
  session.printer().Object(spec::ToJson(card), request.model(), card.markdown());
  return kExitOk;
}

// From a version to what it was trained from, and so on to what was imported.
Result<int> RunModelLineage(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  std::vector<Json> items;
  std::vector<std::string> names;
  std::string next = arguments.Get("MODEL");
  while (!next.empty() && items.size() < kLineageMax) {
    v1::GetModelRequest request;
    request.set_name(next);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ModelVersion model,
        client->Call(client->models(), &v1::ModelService::Stub::GetModel, request));
    std::vector<Json> data;
    for (const std::string& dataset : model.lineage().datasets()) {
      ATTUNE_ASSIGN_OR_RETURN(Json json, DataJson(*client, dataset));
      data.push_back(std::move(json));
    }
    if (session.printer().human()) {
      PrintVersion(session.printer().out(), model, data, items.empty(), session.printer().color());
    }
    items.push_back(spec::ToJson(model));
    items.back()["data_sets"] = data;
    names.push_back(Reference(model));
    // What training went on from; of an imported adapter, what it belongs to.
    next = model.lineage().base().empty() ? model.base() : model.lineage().base();
  }
  if (!session.printer().human()) session.printer().List(items, names, Table({}), "");
  return kExitOk;
}

}  // namespace attune::cli
