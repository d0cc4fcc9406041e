#include "coordinator/datasets/catalog_commit.h"

#include <google/protobuf/util/time_util.h>

#include "common/base/files.h"
#include "coordinator/datasets/importer.h"

namespace attune::datasets {

versions::Table DatasetTable() {
  return versions::Table("dataset");
}

Result<v1::DatasetVersion> ParseRecord(const std::string& record) {
  v1::DatasetVersion version;
  if (!version.ParseFromString(record)) return DataLoss("a dataset's record cannot be read");
  return version;
}

std::string Summary(const v1::DatasetVersion& report) {
  std::string text = std::to_string(report.examples().at("train")) + " train and " +
                     std::to_string(report.examples().at("validation")) + " validation examples, ";
  if (report.unlabelled() > 0) text += std::to_string(report.unlabelled()) + " unlabelled, ";
  return text + std::to_string(report.rejected()) + " rows rejected, " +
         std::to_string(report.duplicates()) + " duplicates";
}

std::string ReferenceOf(const v1::DatasetVersion& version) {
  return versions::FormatReference(version.name(), version.version());
}

double ValidationFractionOf(const v1::DatasetVersion& version) {
  auto validation = version.examples().find("validation");
  const bool has_validation = validation != version.examples().end() && validation->second > 0;
  const bool unknown = has_validation && version.validation_fraction() == 0;
  return unknown ? kValidationFractionDefault : version.validation_fraction();
}

Result<v1::DatasetVersion> CommitVersion(Database* database,
                                         const versions::TemporaryFolder& folder,
                                         const std::string& name,
                                         const versions::CommitRequest& request,
                                         Imported imported) {
  auto make_record = [&](uint32_t version, const std::filesystem::path& path,
                         TimePoint now) -> Result<std::string> {
    v1::DatasetVersion& record = imported.report;
    record.set_name(name);
    record.set_version(version);
    record.set_path(path.string());
    *record.mutable_created() =
        google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(ToMicros(now));
    ATTUNE_RETURN_IF_ERROR(
        WriteFileAtomically(folder.path() / "manifest.json", ManifestJson(record, imported)));
    return record.SerializeAsString();
  };
  ATTUNE_ASSIGN_OR_RETURN(std::string record, versions::Commit(database, DatasetTable(), folder,
                                                               name, request, make_record));
  return ParseRecord(record);
}

}  // namespace attune::datasets
