#include "coordinator/datasets/catalog.h"

#include <nlohmann/json.hpp>

#include "common/spec/import_spec.h"
#include "common/spec/json.h"
#include "coordinator/datasets/catalog_commit.h"
#include "coordinator/datasets/deletion.h"
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
                std::unique_ptr<versions::TemporaryFolder> folder, const ImportOptions& options,
                Leases::Lease newest)
      : newest_(std::move(newest)),
        database_(database),
        name_(std::move(name)),
        request_(std::move(request)),
        folder_(std::move(folder)),
        importer_(folder_->path(), options) {}

  // Before the first row. newest: the name's newest version, if it has one. It must still be that
  // at the end: else what an append did not see would be left out, and examples of a version that
  // came in between might change sides.
  Status Begin(const std::optional<v1::DatasetVersion>& newest, bool append) {
    request_.precondition = [this, append, number = newest ? newest->version() : 0](
                                Transaction& transaction) -> Status {
      const uint32_t now = DatasetTable().Newest(transaction, name_);
      if (now == number) return Status();
      return Overtaken(append, number, now);
    };
    if (!newest) return Status();
    if (append) appended_to_ = ReferenceOf(*newest);
    const auto use = append ? BaseVersion::Use::kAppend : BaseVersion::Use::kReplace;
    Status status = importer_.Begin(*newest, use);
    return status.ok() ? status : status.WithContext("dataset " + ReferenceOf(*newest));
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
  Status Overtaken(bool append, uint32_t before, uint32_t now) const {
    const std::string verb = append ? "append" : "import";
    return Unavailable("while rows were " + verb + "ed" +
                       (append ? " to " + versions::FormatReference(name_, before) : "") + ", " +
                       (now > before ? versions::FormatReference(name_, now) + " was made"
                                     : versions::FormatReference(name_, before) + " was deleted") +
                       ": " + verb + " them again");
  }

  const Leases::Lease newest_;  // whose shards are shared
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
  if (!(fraction >= 0 && fraction <= 1)) {
    return InvalidArgument("validation_fraction must be from 0 to 1")
        .WithField("validation_fraction");
  }
  return spec::ValidateImportSpec(header.spec());
}

versions::CommitRequest KeyOf(const v1::ImportDatasetRequest::Header& header) {
  std::string content = header.name() + "\n" + std::to_string(FractionOf(header));
  if (header.append()) content += "\nappend";
  if (header.allow_unlabelled()) content += "\nallow_unlabelled";
  for (const std::string& uri : header.uris()) content += "\nuri " + uri;
  if (header.has_spec()) content += "\nspec " + spec::ToJsonText(header.spec());
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

Catalog::Catalog(Database* database, std::filesystem::path storage, Users users,
                 uint64_t shard_bytes)
    : database_(database),
      storage_(std::move(storage)),
      root_(storage_ / "datasets"),
      users_(std::move(users)),
      shard_bytes_(shard_bytes) {}

Status Catalog::Reconcile() {
  Deletion deletion(database_, storage_, users_, &leases_);
  return versions::Reconcile(
      database_, DatasetTable(), root_,
      [&](const std::filesystem::path& folder) { return deletion.RemoveTokensOf(folder); });
}

Result<v1::DeleteDatasetsResponse> Catalog::Delete(const v1::DeleteDatasetsRequest& request,
                                                   const std::string& actor) {
  return Deletion(database_, storage_, users_, &leases_).Run(request, actor);
}

// That it is there is asked again under the lease: it may have been deleted in between.
Result<Catalog::Held> Catalog::Hold(const std::string& reference) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::DatasetVersion version, Get(reference));
  ATTUNE_ASSIGN_OR_RETURN(Leases::Lease lease, leases_.Take(ReferenceOf(version)));
  ATTUNE_RETURN_IF_ERROR(Get(ReferenceOf(version)).status());
  return Held{version, std::move(lease)};
}

Result<std::optional<Catalog::Held>> Catalog::NewestFor(
    const v1::ImportDatasetRequest::Header& header) {
  Result<Held> newest = Hold(header.name());
  if (!newest.ok()) {
    if (newest.status().code() != StatusCode::kNotFound) return newest.status();
    return std::optional<Held>();
  }
  const double fraction = ValidationFractionOf(newest->version);
  if (header.append() && header.has_validation_fraction() &&
      header.validation_fraction() != fraction) {
    return InvalidArgument("the split of " + ReferenceOf(newest->version) +
                           " was made with the share " + nlohmann::json(fraction).dump() +
                           " for validation, which an append keeps: leave it out")
        .WithField("validation_fraction");
  }
  return std::optional<Held>(*std::move(newest));
}

Result<std::unique_ptr<Import>> Catalog::StartImport(const v1::ImportDatasetRequest::Header& header,
                                                     LikelyAnswers likely_answers,
                                                     std::function<bool()> cancelled) {
  ATTUNE_RETURN_IF_ERROR(CheckHeader(header));
  versions::CommitRequest request = KeyOf(header);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier,
                          versions::FindCommitted(database_, request));
  if (earlier) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ParseRecord(*earlier));
    return std::unique_ptr<Import>(new DoneImport(std::move(version)));
  }
  ATTUNE_ASSIGN_OR_RETURN(const v1::CurationSpec curation, CurationOf(header));
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const Curator> curator, CuratorFor(curation));
  ATTUNE_ASSIGN_OR_RETURN(std::optional<Held> held, NewestFor(header));
  std::optional<v1::DatasetVersion> newest;
  if (held) newest = held->version;
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<versions::TemporaryFolder> folder,
                          versions::TemporaryFolder::Create(root_, header.name()));
  ImportOptions options{.validation_fraction = newest && header.append()
                                                   ? ValidationFractionOf(*newest)
                                                   : FractionOf(header),
                        .allow_unlabelled = header.allow_unlabelled(),
                        .likely_answers = likely_answers,
                        .shard_bytes = shard_bytes_,
                        .curation = curation,
                        .curator = curator,
                        .cancelled = CancelCheck(std::move(cancelled))};
  ATTUNE_ASSIGN_OR_RETURN(options.format, ParseFormat(header.spec().format()));
  ATTUNE_ASSIGN_OR_RETURN(options.delimiter, ParseDelimiter(header.spec().delimiter()));
  ATTUNE_ASSIGN_OR_RETURN(options.mapping, Mapping::Make(header.spec()));
  auto import = std::make_unique<RunningImport>(database_, header.name(), std::move(request),
                                                std::move(folder), options,
                                                held ? std::move(held->lease) : Leases::Lease());
  ATTUNE_RETURN_IF_ERROR(import->Begin(newest, header.append()));
  return std::unique_ptr<Import>(std::move(import));
}

Status Catalog::Check(Transaction& transaction, const std::string& text) {
  ATTUNE_ASSIGN_OR_RETURN(const versions::Reference reference,
                          versions::ParseReference("dataset", text));
  return DatasetTable().Find(transaction, reference).status();
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
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ParseRecord(record));
    version.clear_source_files();  // there may be thousands
    version.clear_sources();
    version.clear_rejected_rows();
    *response.add_datasets() = std::move(version);
  }
  response.set_next_page_token(page.next_page_token);
  return response;
}

}  // namespace attune::datasets
