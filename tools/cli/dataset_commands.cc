#include "common/base/files.h"
#include "common/spec/import_keys.h"
#include "common/spec/import_spec.h"
#include "common/spec/json.h"
#include "common/yaml/document.h"
#include "tools/cli/dataset_view.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/import_files.h"
#include "tools/cli/upload.h"

namespace attune::cli {
namespace {

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

// --spec, with what --format and --map say in its place.
Result<v1::ImportSpec> SpecOf(const Arguments& arguments) {
  v1::ImportSpec spec;
  if (arguments.Has("--spec")) {
    const std::string file = arguments.Get("--spec");
    auto text = ReadFile(file, yaml::kMaxBytes);
    if (!text.ok()) {
      return text.status().code() == StatusCode::kNotFound ? NotFound("there is no file " + file)
                                                           : text.status();
    }
    ATTUNE_ASSIGN_OR_RETURN(spec, spec::ParseImportSpec(*std::move(text), file));
  }
  if (arguments.Has("--format")) spec.set_format(arguments.Get("--format"));
  if (arguments.Has("--map")) {
    for (const std::string& assignment : arguments.All("--map")) {
      ATTUNE_RETURN_IF_ERROR(spec::SetMapping(assignment, &spec));
    }
  }
  ATTUNE_RETURN_IF_ERROR(spec::ValidateImportSpec(spec));
  return spec;
}

}  // namespace

Result<int> RunDatasetImport(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(const ImportFiles found, FindImportFiles(arguments.All("FILES")));
  ATTUNE_RETURN_IF_ERROR(CheckUploadFiles(found.files));
  v1::ImportDatasetRequest header;
  header.mutable_header()->set_request_id(NewId("req"));
  header.mutable_header()->set_name(arguments.Get("NAME"));
  if (arguments.Has("--validation")) {
    double share = arguments.Number("--validation");
    if (!(share >= 0 && share <= 0.9))
      return InvalidArgument("--validation must be a number from 0 to 0.9");
    header.mutable_header()->set_validation_fraction(share);
  }
  header.mutable_header()->set_append(arguments.Has("--append"));
  header.mutable_header()->set_allow_unlabelled(arguments.Has("--allow-unlabelled"));
  header.mutable_header()->mutable_uris()->Assign(found.uris.begin(), found.uris.end());
  ATTUNE_ASSIGN_OR_RETURN(*header.mutable_header()->mutable_spec(), SpecOf(arguments));
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  FileUpload<v1::ImportDatasetRequest, v1::DatasetVersion> upload(
      &session, found.files, "importing", "checking and splitting",
      [client](grpc::ClientContext* context, v1::DatasetVersion* response) {
        return client->datasets().ImportDataset(context, response);
      });
  ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, upload.Send(client, header));
  session.printer().Object(spec::ToJson(version), DatasetReference(version),
                           DatasetCard(version, View(session)));
  return kExitOk;
}

Result<int> RunDatasetList(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListDatasetsRequest request;
  request.set_all_versions(arguments.Has("--all-versions"));
  size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  Table table({{.header = "DATASET", .shrinks = true},
               {.header = "TRAIN", .right = true},
               {.header = "VALIDATION", .right = true},
               {.header = "SHAPE", .optional = true},
               {.header = "SIZE", .right = true, .optional = true},
               {.header = "STORED", .right = true, .optional = true},
               {.header = "REJECTED", .right = true, .optional = true},
               {.header = "AGE", .right = true, .optional = true}});
  do {
    request.set_page_size(200);
    ATTUNE_ASSIGN_OR_RETURN(
        v1::ListDatasetsResponse page,
        client->Call(client->datasets(), &v1::DatasetService::Stub::ListDatasets, request));
    for (const v1::DatasetVersion& dataset : page.datasets()) {
      if (items.size() >= limit) break;
      items.push_back(spec::ToJson(dataset));
      names.push_back(DatasetReference(dataset));
      table.Add({DatasetReference(dataset), std::to_string(ExamplesOf(dataset, "train")),
                 std::to_string(ExamplesOf(dataset, "validation")), dataset.shape(),
                 FormatBytes(static_cast<double>(dataset.bytes())),
                 FormatBytes(static_cast<double>(StoredBytes(dataset))),
                 std::to_string(dataset.rejected()),
                 FormatAge(dataset.created(), session.io().clock->Now())});
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && items.size() < limit);
  session.printer().List(items, names, table,
                         "no data sets yet; make one with `attune dataset import NAME FILES...`");
  return kExitOk;
}

Result<int> RunDatasetShow(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::GetDatasetRequest request;
  request.set_name(arguments.Get("DATASET"));
  ATTUNE_ASSIGN_OR_RETURN(
      v1::DatasetVersion dataset,
      client->Call(client->datasets(), &v1::DatasetService::Stub::GetDataset, request));
  session.printer().Object(spec::ToJson(dataset), DatasetReference(dataset),
                           DatasetCard(dataset, View(session)));
  return kExitOk;
}

Result<int> RunDatasetExplain(Session& session, const Arguments&) {
  session.printer().out() << spec::ImportMarkdown();
  return kExitOk;
}

}  // namespace attune::cli
