#include "coordinator/datasets/catalog.h"
#include "coordinator/datasets/catalog_commit.h"
#include "coordinator/datasets/disk_usage.h"
#include "coordinator/datasets/shard_index.h"
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

// The examples of a shard that are none of examples yet, which they become. Returns how many were.
Result<uint64_t> TakeShard(const v1::DatasetVersion& source, const Shard& shard,
                           ExampleTable* examples, VersionWriter* writer) {
  ATTUNE_ASSIGN_OR_RETURN(const ShardIndex index, ReadShardIndex(source, shard));
  std::vector<bool> wanted(index.lines.size());
  uint64_t had = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = examples->Insert(index.lines[i].id).added;
    had += wanted[i] ? 0 : 1;
  }
  ATTUNE_RETURN_IF_ERROR(CheckExamples(examples->size()));
  Status status;
  if (had == 0) {
    status = writer->Share(source, shard, index);
  } else if (had < wanted.size()) {
    status = writer->Copy(source, shard, index, [&](size_t line) { return wanted[line]; });
  }
  if (!status.ok()) return status;
  return had;
}

Result<uint64_t> TakeSource(const v1::DatasetVersion& source, ExampleTable* examples,
                            VersionWriter* writer) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Shard> shards, ReadManifest(source));
  uint64_t had = 0;
  for (const Shard& shard : shards) {
    ATTUNE_ASSIGN_OR_RETURN(const uint64_t there, TakeShard(source, shard, examples, writer));
    had += there;
  }
  return had;
}

}  // namespace

Result<v1::DatasetVersion> Catalog::Compose(const ComposeRequest& request) {
  ATTUNE_RETURN_IF_ERROR(CheckCompose(request));
  versions::CommitRequest commit = KeyOf(request);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<std::string> earlier,
                          versions::FindCommitted(database_, commit));
  if (earlier) return ParseRecord(*earlier);
  std::vector<Held> sources;
  for (const std::string& reference : request.sources) {
    ATTUNE_ASSIGN_OR_RETURN(Held source, Hold(reference));
    sources.push_back(std::move(source));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<versions::TemporaryFolder> folder,
                          versions::TemporaryFolder::Create(root_, request.name));
  VersionWriter writer(folder->path(), shard_bytes_);
  ExampleTable examples;
  uint64_t duplicates = 0;
  for (const Held& source : sources) {
    Result<uint64_t> had = TakeSource(source.version, &examples, &writer);
    if (!had.ok()) return had.status().WithContext("dataset " + ReferenceOf(source.version));
    duplicates += *had;
  }
  ATTUNE_ASSIGN_OR_RETURN(Imported imported, writer.Finish());
  imported.report.set_duplicates(duplicates);
  imported.report.set_validation_fraction(ValidationFractionOf(sources.front().version));
  for (const Held& source : sources) imported.report.add_composed_of(ReferenceOf(source.version));
  commit.event = request.event.empty() ? Summary(imported.report)
                                       : request.event + ": " + Summary(imported.report);
  return CommitVersion(database_, *folder, request.name, commit, std::move(imported));
}

Result<v1::DatasetVersion> Catalog::Show(const std::string& reference) {
  ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, Get(reference));
  const DiskUsage usage = DiskUsageOf(version);
  version.set_own_bytes(usage.own_bytes);
  version.set_shared_bytes(usage.shared_bytes);
  return version;
}

Status Catalog::ForEachId(const std::string& reference, const std::string& split,
                          const std::function<void(std::string_view)>& take) {
  ATTUNE_ASSIGN_OR_RETURN(const Held held, Hold(reference));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Shard> shards, ReadManifest(held.version));
  for (const Shard& shard : shards) {
    if (shard.split != split) continue;
    ATTUNE_RETURN_IF_ERROR(CheckShardSize(held.version, shard));
    ATTUNE_ASSIGN_OR_RETURN(const ShardIndex index, ReadShardIndex(held.version, shard));
    for (const IndexedLine& line : index.lines) take(FormatExampleId(line.id));
  }
  return Status();
}

Status Catalog::ForEachRow(const std::string& reference,
                           const std::function<Status(std::string_view)>& take) {
  ATTUNE_ASSIGN_OR_RETURN(const Held held, Hold(reference));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Shard> shards, ReadManifest(held.version));
  for (const Shard& shard : shards) {
    ATTUNE_RETURN_IF_ERROR(ReadShard(held.version, shard, take));
  }
  return Status();
}

}  // namespace attune::datasets
