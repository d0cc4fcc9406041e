#include "coordinator/datasets/catalog.h"
#include "coordinator/datasets/catalog_commit.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {
namespace {

constexpr const char* kComposeMethod = "ComposeDataset";
constexpr size_t kComposedMax = 10'000;

Status CheckCompose(const ComposeRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckNewName(request.name));
  if (request.sources.empty()) {
    return InvalidArgument("a composed dataset needs at least one source").WithField("sources");
  }
  if (request.sources.size() <= kComposedMax) return Status();
  return InvalidArgument("a dataset is composed of at most " + std::to_string(kComposedMax) +
                         " others, not " + std::to_string(request.sources.size()))
      .WithField("sources");
}

versions::CommitRequest KeyOf(const ComposeRequest& request) {
  std::string content = request.name;
  for (const std::string& source : request.sources) content += "\n" + source;
  return {request.request_id, kComposeMethod, content, ""};
}

}  // namespace

Result<v1::DatasetVersion> Catalog::Compose(const ComposeRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckCompose(request));
  versions::CommitRequest commit = KeyOf(request);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier,
                          versions::FindCommitted(database_, commit));
  if (earlier) return ParseRecord(*earlier);
  std::vector<v1::DatasetVersion> sources;
  for (const std::string& reference : request.sources) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion source, Get(reference));
    sources.push_back(std::move(source));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<versions::TemporaryFolder> folder,
                          versions::TemporaryFolder::Create(root_, request.name));
  VersionWriter writer(folder->path());
  uint64_t duplicates = 0;
  for (const v1::DatasetVersion& source : sources) {
    Result<uint64_t> had = writer.CopyFrom(source);
    if (!had.ok()) return had.status().WithContext("dataset " + ReferenceOf(source));
    duplicates += *had;
  }
  ATTUNE_ASSIGN_OR_RETURN(Imported imported, writer.Finish());
  imported.report.set_duplicates(duplicates);
  imported.report.set_validation_fraction(ValidationFractionOf(sources.front()));
  for (const auto& source : sources) imported.report.add_composed_of(ReferenceOf(source));
  commit.event = request.event.empty() ? Summary(imported.report)
                                       : request.event + ": " + Summary(imported.report);
  return CommitVersion(database_, *folder, request.name, commit, std::move(imported));
}

Status Catalog::ForEachId(const std::string& reference, const std::string& split,
                          const std::function<void(std::string_view)>& take) {
  return ForEachLine(reference, split, [&](std::string_view line) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(std::string_view id, IdOfShardLine(line));
    take(id);
    return Status();
  });
}

Status Catalog::ForEachRow(const std::string& reference,
                           const std::function<Status(std::string_view)>& take) {
  return ForEachLine(reference, "", take);
}

Status Catalog::ForEachLine(const std::string& reference, const std::string& split,
                            const std::function<Status(std::string_view)>& take) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::DatasetVersion version, Get(reference));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Shard> shards, ReadManifest(version));
  for (const Shard& shard : shards) {
    if (split.empty() || shard.split == split) {
      ATTUNE_RETURN_IF_ERROR(ReadShard(version, shard, take));
    }
  }
  return Status();
}

}  // namespace attune::datasets
