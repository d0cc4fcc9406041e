#include "coordinator/datasets/catalog.h"

#include <google/protobuf/util/time_util.h>

#include "common/base/files.h"
#include "coordinator/datasets/importer.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/folder.h"
#include "coordinator/versions/table.h"

namespace attune::datasets {
namespace {

constexpr const char* kMethod = "ImportDataset";

versions::Table DatasetTable() {
  return versions::Table("dataset");
}

Result<v1::DatasetVersion> Parse(const std::string& record) {
  v1::DatasetVersion version;
  if (!version.ParseFromString(record)) return DataLoss("a dataset's record cannot be read");
  return version;
}

std::string Summary(const v1::DatasetVersion& report) {
  return std::to_string(report.examples().at("train")) + " train and " +
         std::to_string(report.examples().at("validation")) + " validation examples, " +
         std::to_string(report.rejected()) + " rows rejected, " +
         std::to_string(report.duplicates()) + " duplicates";
}

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
                std::unique_ptr<versions::TemporaryFolder> folder, double validation_fraction)
      : database_(database),
        name_(std::move(name)),
        request_(std::move(request)),
        folder_(std::move(folder)),
        importer_(folder_->path(), validation_fraction) {}

  bool already_done() const override { return false; }
  Status Append(const std::string& file, std::string_view bytes) override {
    return importer_.Append(file, bytes);
  }

  Result<v1::DatasetVersion> Finish() override {
    ATTUNE_ASSIGN_OR_RETURN(Imported imported, importer_.Finish());
    request_.event = Summary(imported.report);
    auto make_record = [&](uint32_t version, const std::filesystem::path& folder,
                           TimePoint now) -> Result<std::string> {
      v1::DatasetVersion& record = imported.report;
      record.set_name(name_);
      record.set_version(version);
      record.set_path(folder.string());
      *record.mutable_created() =
          google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(now));
      ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder_->path() / "manifest.json",
                                                 ManifestJson(record, imported.shards)));
      return record.SerializeAsString();
    };
    ATTUNE_ASSIGN_OR_RETURN(
        std::string record,
        versions::Commit(database_, DatasetTable(), *folder_, name_, request_, make_record));
    return Parse(record);
  }

 private:
  Database* const database_;
  const std::string name_;
  versions::CommitRequest request_;
  const std::unique_ptr<versions::TemporaryFolder> folder_;
  Importer importer_;
};

}  // namespace

Catalog::Catalog(Database* database, std::filesystem::path storage)
    : database_(database), root_(std::move(storage) / "datasets") {}

Status Catalog::Reconcile() {
  return versions::Reconcile(database_, DatasetTable(), root_);
}

Result<std::unique_ptr<Import>> Catalog::StartImport(
    const v1::ImportDatasetRequest::Header& header) {
  Result<versions::Reference> reference = versions::ParseReference("dataset", header.name());
  if (!reference.ok()) return Status(reference.status()).WithField("name");
  if (reference->version != 0) {
    return InvalidArgument("import takes a name without a version: the next number is given to it")
        .WithField("name");
  }
  double fraction =
      header.has_validation_fraction() ? header.validation_fraction() : kValidationFractionDefault;
  if (!(fraction >= 0 && fraction <= 1)) {
    return InvalidArgument("validation_fraction must be from 0 to 1")
        .WithField("validation_fraction");
  }
  versions::CommitRequest request{header.request_id(), kMethod,
                                  header.name() + "\n" + std::to_string(fraction), ""};
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier,
                          versions::FindCommitted(database_, request));
  if (earlier) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, Parse(*earlier));
    return std::unique_ptr<Import>(new DoneImport(std::move(version)));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<versions::TemporaryFolder> folder,
                          versions::TemporaryFolder::Create(root_, header.name()));
  return std::unique_ptr<Import>(
      new RunningImport(database_, header.name(), std::move(request), std::move(folder), fraction));
}

Result<v1::DatasetVersion> Catalog::Get(const std::string& text) {
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference reference, versions::ParseReference("dataset", text));
  std::string record;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(record, DatasetTable().Find(transaction, reference));
    return Status();
  }));
  return Parse(record);
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
    ATTUNE_ASSIGN_OR_RETURN(*response.add_datasets(), Parse(record));
  }
  response.set_next_page_token(page.next_page_token);
  return response;
}

}  // namespace attune::datasets
