#include "coordinator/datasets/catalog.h"

#include <nlohmann/json.hpp>

#include "coordinator/datasets/catalog_commit.h"
#include "coordinator/datasets/importer.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/folder.h"
#include "coordinator/versions/table.h"

namespace attune::datasets {
namespace {

constexpr const char* kMethod = "ImportDataset";

// The answer of an import that was made already.
class DoneImport final : public Import {
 public:
  explicit DoneImport(v1::DatasetVersion version) : version_(std::move(version)) {}
  bool already_done() const override { return true; }
  Status Append(const std::string&, std::string_view) override { return Status(); }
  Result<v1::DatasetVersion> Finish() override { return version_; }

 private:
  const v1::DatasetVersion version_;
};

class RunningImport final : public Import {
 public:
  RunningImport(Database* database, std::string name, versions::CommitRequest request,
                std::unique_ptr<versions::TemporaryFolder> folder, const ImportOptions& options)
      : database_(database),
        name_(std::move(name)),
        request_(std::move(request)),
        folder_(std::move(folder)),
        importer_(folder_->path(), options) {}

  // Before the first row: the version is appended to this one, which must still be the newest at
  // the end, as else what came in between would be left out.
  Status Begin(const v1::DatasetVersion& newest) {
    appended_to_ = ReferenceOf(newest);
    request_.precondition = [this, number = newest.version()](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(std::string record, DatasetTable().Find(transaction, {name_, 0}));
      ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion now, ParseRecord(record));
      if (now.version() == number) return Status();
      return Unavailable("while rows were appended to " + appended_to_ + ", " + ReferenceOf(now) +
                         " was made: append them again");
    };
    Status status = importer_.Begin(newest);
    return status.ok() ? status : status.WithContext("dataset " + appended_to_);
  }

  bool already_done() const override { return false; }
  Status Append(const std::string& file, std::string_view bytes) override {
    return importer_.Append(file, bytes);
  }

  Result<v1::DatasetVersion> Finish() override {
    ATTUNE_ASSIGN_OR_RETURN(Imported imported, importer_.Finish());
    imported.report.set_appended_to(appended_to_);
    request_.event = Summary(imported.report);
    if (!appended_to_.empty())
      request_.event = "appended to " + appended_to_ + ": " + request_.event;
    return CommitVersion(database_, *folder_, name_, request_, std::move(imported));
  }

 private:
  Database* const database_;
  const std::string name_;
  versions::CommitRequest request_;
  const std::unique_ptr<versions::TemporaryFolder> folder_;
  Importer importer_;
  std::string appended_to_;  // "name@version"; empty: it stands alone
};

double FractionOf(const v1::ImportDatasetRequest::Header& header) {
  return header.has_validation_fraction() ? header.validation_fraction()
                                          : kValidationFractionDefault;
}

Status CheckHeader(const v1::ImportDatasetRequest::Header& header) {
  ATTUNE_RETURN_IF_ERROR(CheckNewName(header.name()));
  const double fraction = FractionOf(header);
  if (fraction >= 0 && fraction <= 1) return Status();
  return InvalidArgument("validation_fraction must be from 0 to 1")
      .WithField("validation_fraction");
}

versions::CommitRequest KeyOf(const v1::ImportDatasetRequest::Header& header) {
  std::string content = header.name() + "\n" + std::to_string(FractionOf(header));
  if (header.append()) content += "\nappend";
  if (header.allow_unlabelled()) content += "\nallow_unlabelled";
  return {header.request_id(), kMethod, content, ""};
}

}  // namespace

Status CheckNewName(const std::string& name) {
  Result<versions::Reference> reference = versions::ParseReference("dataset", name);
  if (!reference.ok()) return Status(reference.status()).WithField("name");
  if (reference->version == 0) return Status();
  return InvalidArgument("import takes a name without a version: the next number is given to it")
      .WithField("name");
}

Catalog::Catalog(Database* database, std::filesystem::path storage)
    : database_(database), root_(std::move(storage) / "datasets") {}

Status Catalog::Reconcile() {
  return versions::Reconcile(database_, DatasetTable(), root_);
}

Result<std::optional<v1::DatasetVersion>> Catalog::AppendedTo(
    const v1::ImportDatasetRequest::Header& header) {
  if (!header.append()) return std::optional<v1::DatasetVersion>();
  Result<v1::DatasetVersion> newest = Get(header.name());
  if (!newest.ok()) {
    if (newest.status().code() != StatusCode::kNotFound) return newest.status();
    return std::optional<v1::DatasetVersion>();
  }
  const double fraction = ValidationFractionOf(*newest);
  if (header.has_validation_fraction() && header.validation_fraction() != fraction) {
    return InvalidArgument("the split of " + ReferenceOf(*newest) + " was made with the share " +
                           nlohmann::json(fraction).dump() +
                           " for validation, which an append keeps: leave it out")
        .WithField("validation_fraction");
  }
  return std::optional<v1::DatasetVersion>(*std::move(newest));
}

Result<std::unique_ptr<Import>> Catalog::StartImport(const v1::ImportDatasetRequest::Header& header,
                                                     LikelyAnswers likely_answers) {
  ATTUNE_RETURN_IF_ERROR(CheckHeader(header));
  versions::CommitRequest request = KeyOf(header);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier,
                          versions::FindCommitted(database_, request));
  if (earlier) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ParseRecord(*earlier));
    return std::unique_ptr<Import>(new DoneImport(std::move(version)));
  }
  ATTUNE_ASSIGN_OR_RETURN(const std::optional<v1::DatasetVersion> newest, AppendedTo(header));
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<versions::TemporaryFolder> folder,
                          versions::TemporaryFolder::Create(root_, header.name()));
  const ImportOptions options{
      .validation_fraction = newest ? ValidationFractionOf(*newest) : FractionOf(header),
      .allow_unlabelled = header.allow_unlabelled(),
      .likely_answers = likely_answers};
  auto import = std::make_unique<RunningImport>(database_, header.name(), std::move(request),
                                                std::move(folder), options);
  if (newest) ATTUNE_RETURN_IF_ERROR(import->Begin(*newest));
  return std::unique_ptr<Import>(std::move(import));
}

Result<v1::DatasetVersion> Catalog::Get(const std::string& text) {
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference reference, versions::ParseReference("dataset", text));
  std::string record;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(record, DatasetTable().Find(transaction, reference));
    return Status();
  }));
  return ParseRecord(record);
}

Result<v1::ListDatasetsResponse> Catalog::List(const v1::ListDatasetsRequest& request) {
  versions::Page page;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(
        page, DatasetTable().List(transaction, request.page_size(), request.page_token(),
                                  request.all_versions()));
    return Status();
  }));
  v1::ListDatasetsResponse response;
  for (const std::string& record : page.records) {
    ATTUNE_ASSIGN_OR_RETURN(*response.add_datasets(), ParseRecord(record));
  }
  response.set_next_page_token(page.next_page_token);
  return response;
}

}  // namespace attune::datasets
