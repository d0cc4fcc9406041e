#include <filesystem>

#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/job_view.h"
#include "tools/cli/live.h"

namespace attune::cli {
namespace {

constexpr std::chrono::hours kImportDeadline{2};

std::string Reference(const v1::ModelVersion& model) {
  return model.name() + "@" + std::to_string(model.version());
}

std::string Joined(const google::protobuf::RepeatedPtrField<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

std::string ModelCard(const v1::ModelVersion& model, const ViewOptions& options) {
  Card card(options);
  card.Title(Reference(model));
  card.Row("Aliases", Joined(model.aliases()));
  if (model.files_removed()) card.Row("Files", "removed (`attune model prune`)", Style::kYellow);
  card.Row("Format",
           model.format() + (model.architecture().empty() ? "" : ", " + model.architecture()));
  if (model.parameters() > 0)
    card.Row("Parameters", FormatCount(static_cast<double>(model.parameters())));
  card.Row("Size", FormatBytes(static_cast<double>(model.bytes())));
  card.Row("Base", model.base().empty() ? model.lineage().base() : model.base());
  card.Row("Made for", model.made_for(), Style::kYellow);
  card.Row("Job", model.lineage().job_id());
  card.Row("Data", Joined(model.lineage().datasets()));
  card.Row("Data checksum", Joined(model.lineage().dataset_checksums()));
  std::string metrics;
  for (const char* name : {"loss", "first_validation_loss", "validation_loss"}) {
    auto it = model.metrics().find(name);
    if (it == model.metrics().end()) continue;
    std::string label = name;
    std::replace(label.begin(), label.end(), '_', ' ');
    metrics += (metrics.empty() ? "" : "   ") + label + " " + FormatLoss(it->second);
  }
  card.Row("Metrics", metrics);
  card.Row("From", model.lineage().source());
  card.Row("Update", model.lineage().update());
  card.Row("Code", model.lineage().code_version());
  card.Row("Checksum", model.checksum());
  card.Row("Created", FormatLocalTime(model.created()));
  card.Row("Folder", model.path());
  return card.Render();
}

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

std::string MadeForText(const v1::ModelVersion& model) {
  return "the adapter's files name \"" + model.made_for() + "\" as its base, not " + model.base() +
         ": its shapes fit, but on other weights than its own it answers otherwise than it was "
         "trained to";
}

grpc::Status Import(Session& session, Client& client, grpc::ClientContext* context,
                    const v1::ImportModelRequest& request, v1::ModelVersion* model) {
  LiveLine live(&session.io(), session.quiet());
  auto reader = client.models().ImportModelWithProgress(context, request);
  v1::ImportModelProgress progress;
  std::string phase;
  auto started = session.io().clock->Monotonic();
  while (reader->Read(&progress)) {
    if (progress.has_version()) {
      *model = progress.version();
      continue;
    }
    if (progress.phase() != phase) started = session.io().clock->Monotonic();
    phase = progress.phase();
    ShowBytes(&live, phase, static_cast<double>(progress.done()),
              static_cast<double>(progress.total()), session.io().clock->Monotonic() - started);
  }
  return reader->Finish();
}

}  // namespace

Result<int> RunModelImport(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  std::filesystem::path path = std::filesystem::absolute(arguments.Get("PATH")).lexically_normal();
  std::error_code error;
  if (rpc::IsLoopback(client->endpoint().address) && !std::filesystem::exists(path, error)) {
    return NotFound("there is no file or folder " + path.string());
  }
  v1::ImportModelRequest request;
  request.set_request_id(NewId("req"));
  request.set_name(arguments.Get("NAME"));
  request.set_path(path);
  request.set_base(arguments.Get("--base"));
  v1::ModelVersion model;
  Status imported = client->Mutate(kImportDeadline, [&](grpc::ClientContext* context) {
    return Import(session, *client, context, request, &model);
  });
  if (!imported.ok()) return imported;
  if (!model.made_for().empty()) session.Say("warning: " + MadeForText(model));
  session.printer().Object(spec::ToJson(model), Reference(model), ModelCard(model, View(session)));
  return kExitOk;
}

Result<int> RunModelList(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListModelsRequest request;
  request.set_all_versions(arguments.Has("--all-versions"));
  size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  Table table({{.header = "MODEL", .shrinks = true},
               {.header = "ALIASES", .shrinks = true},
               {.header = "FORMAT"},
               {.header = "ARCHITECTURE", .optional = true},
               {.header = "PARAMETERS", .right = true, .optional = true},
               {.header = "SIZE", .right = true, .optional = true},
               {.header = "VALIDATION", .right = true, .optional = true},
               {.header = "AGE", .right = true, .optional = true},
               {.header = "FROM", .shrinks = true, .optional = true}});
  do {
    request.set_page_size(200);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListModelsResponse page,
        client->Call(client->models(), &v1::ModelService::Stub::ListModels, request));
    for (const v1::ModelVersion& model : page.models()) {
      if (items.size() >= limit) break;
      items.push_back(spec::ToJson(model));
      names.push_back(Reference(model));
      auto loss = model.metrics().find("validation_loss");
      table.Add(
          {Reference(model), Joined(model.aliases()), model.format(), model.architecture(),
           model.parameters() == 0 ? "" : FormatCount(static_cast<double>(model.parameters())),
           model.files_removed() ? "removed" : FormatBytes(static_cast<double>(model.bytes())),
           loss == model.metrics().end() ? "" : FormatLoss(loss->second),
           FormatAge(model.created(), session.io().clock->Now()),
           model.lineage().job_id().empty() ? model.lineage().source() : model.lineage().job_id()});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && items.size() < limit);
  session.printer().List(items, names, table,
                         "no models yet; register one with `attune model import NAME PATH`");
  return kExitOk;
}

Result<int> RunModelShow(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::GetModelRequest request;
  request.set_name(arguments.Get("MODEL"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::ModelVersion model,
      client->Call(client->models(), &v1::ModelService::Stub::GetModel, request));
  session.printer().Object(spec::ToJson(model), Reference(model), ModelCard(model, View(session)));
  return kExitOk;
}

}  // namespace attune::cli
