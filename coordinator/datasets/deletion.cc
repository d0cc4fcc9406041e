#include "coordinator/datasets/deletion.h"

#include <algorithm>
#include <map>

#include "common/log/log.h"
#include "coordinator/datasets/catalog_commit.h"
#include "coordinator/datasets/disk_usage.h"
#include "coordinator/datasets/shard_reader.h"
#include "coordinator/datasets/token_cache.h"
#include "coordinator/store/requests.h"
#include "coordinator/versions/folder.h"

namespace attune::datasets {
namespace fs = std::filesystem;
namespace {

constexpr const char* kMethod = "DeleteDatasets";

Status CheckRequest(const v1::DeleteDatasetsRequest& request) {
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference reference,
                          versions::ParseReference("dataset", request.dataset()));
  if (request.all() && reference.version != 0) {
    return InvalidArgument("to delete all versions, give the name without one")
        .WithField("dataset");
  }
  if (request.all() || reference.version != 0) return Status();
  return InvalidArgument("say which version of " + reference.name + ", as in " + reference.name +
                         "@1, or that all are meant (--all)")
      .WithField("dataset");
}

// By "name@version" why it is needed; what names no version needs the newest.
using Reasons = std::map<std::string, std::string>;

Status AddReasons(Transaction& transaction, const std::vector<InUse>& users, Reasons* reasons) {
  for (const InUse& user : users) {
    for (const auto& [dataset, by] : user(transaction)) {
      Result<versions::Reference> reference = versions::ParseReference("dataset", dataset);
      if (!reference.ok()) continue;
      if (reference->version == 0) {
        reference->version = DatasetTable().Newest(transaction, reference->name);
      }
      std::string& all = (*reasons)[versions::FormatReference(reference->name, reference->version)];
      all += (all.empty() ? "" : "; ") + by;
    }
  }
  return Status();
}

// Nothing when it may go.
std::string WhyNot(const v1::DeleteDatasetsResponse& planned, bool force) {
  std::string running, wanted;
  for (const auto& item : planned.items()) {
    if (!item.in_use().empty()) {
      running += (running.empty() ? "" : "; ") + item.dataset() + ": " + item.in_use();
    } else if (!item.needed_by().empty()) {
      wanted += (wanted.empty() ? "" : "; ") + item.dataset() + ": " + item.needed_by();
    }
  }
  if (!running.empty()) return "in use: " + running;
  if (wanted.empty() || force) return "";
  return "still needed: " + wanted + " (--force deletes all the same)";
}

using Rows = std::set<std::pair<std::string, uint32_t>>;

Result<Rows> RowsIn(Database* database) {
  Rows rows;
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) {
    rows = DatasetTable().All(transaction);
    return Status();
  }));
  return rows;
}

std::vector<std::string> ReferencesOf(const std::vector<v1::DatasetVersion>& versions) {
  std::vector<std::string> references;
  for (const v1::DatasetVersion& version : versions) references.push_back(ReferenceOf(version));
  return references;
}

}  // namespace

fs::path Deletion::FolderOf(const v1::DatasetVersion& version) const {
  return storage_ / "datasets" / version.name() / std::to_string(version.version());
}

Result<Deletion::Versions> Deletion::Find(Transaction& transaction,
                                          const v1::DeleteDatasetsRequest& request) {
  ATTUNE_ASSIGN_OR_RETURN(const versions::Reference reference,
                          versions::ParseReference("dataset", request.dataset()));
  std::vector<versions::Reference> wanted = {reference};
  if (request.all()) {
    wanted.clear();
    for (const auto& [name, version] : DatasetTable().All(transaction)) {
      if (name == reference.name) wanted.push_back({name, version});
    }
  }
  // Says which names there are.
  if (wanted.empty()) return DatasetTable().Find(transaction, reference).status();
  Versions found;
  for (const versions::Reference& one : wanted) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string record, DatasetTable().Find(transaction, one));
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, ParseRecord(record));
    found.push_back(std::move(version));
  }
  return found;
}

Result<v1::DeleteDatasetsResponse> Deletion::Plan(Transaction& transaction,
                                                  const Versions& versions) {
  Reasons running, wanted;
  ATTUNE_RETURN_IF_ERROR(AddReasons(transaction, users_.running, &running));
  ATTUNE_RETURN_IF_ERROR(AddReasons(transaction, users_.wanting, &wanted));
  v1::DeleteDatasetsResponse response;
  for (const v1::DatasetVersion& version : versions) {
    v1::DeleteDatasetsResponse::Item* item = response.add_items();
    item->set_dataset(ReferenceOf(version));
    item->set_bytes(version.bytes());
    item->set_in_use(running[item->dataset()]);
    item->set_needed_by(wanted[item->dataset()]);
  }
  return response;
}

Result<v1::DeleteDatasetsResponse> Deletion::Commit(const v1::DeleteDatasetsRequest& request,
                                                    const Versions& versions,
                                                    const std::string& actor) {
  const uint64_t freed = BytesFreedWith(versions);
  auto work = [&](Transaction& transaction) -> Result<v1::DeleteDatasetsResponse> {
    ATTUNE_ASSIGN_OR_RETURN(const Versions now, Find(transaction, request));
    if (ReferencesOf(now) != ReferencesOf(versions)) {
      return FailedPrecondition("another version of " + now.front().name() +
                                " was made meanwhile: try again");
    }
    ATTUNE_ASSIGN_OR_RETURN(v1::DeleteDatasetsResponse planned, Plan(transaction, now));
    if (std::string why = WhyNot(planned, request.force()); !why.empty()) {
      return FailedPrecondition(why);
    }
    for (const v1::DatasetVersion& version : now) {
      ATTUNE_RETURN_IF_ERROR(versions::MarkRemoved(FolderOf(version)));
      DatasetTable().Delete(transaction, version.name(), version.version());
      transaction.AppendEvent(DatasetTable().kind(), ReferenceOf(version), "deleted",
                              "deleted by " + actor, version.SerializeAsString());
    }
    planned.set_bytes_freed(freed);
    return planned;
  };
  return Once<v1::DeleteDatasetsResponse>(database_, kMethod, request, work);
}

// After a transaction that may or may not have been committed: by what the store says.
Status Deletion::RemoveFolders(const Versions& versions) {
  ATTUNE_ASSIGN_OR_RETURN(const Rows rows, RowsIn(database_));
  Versions gone;
  std::set<std::string> shards;
  for (const v1::DatasetVersion& version : versions) {
    if (rows.contains({version.name(), version.version()})) {
      versions::Unmark(FolderOf(version));
      continue;
    }
    gone.push_back(version);
    Result<std::vector<Shard>> has = ReadShardList(FolderOf(version) / "manifest.json");
    if (!has.ok()) continue;  // it is damaged, and goes without its tokens
    for (const Shard& shard : *has) shards.insert(shard.sha256.substr(0, kTokenNameDigits));
  }
  ATTUNE_ASSIGN_OR_RETURN(shards, FindTokens(storage_, shards));
  ATTUNE_RETURN_IF_ERROR(KeepHeld(&shards));
  ATTUNE_RETURN_IF_ERROR(RemoveTokens(storage_, shards));
  for (const v1::DatasetVersion& version : gone) {
    std::error_code error;
    if (!fs::exists(FolderOf(version), error)) continue;
    ATTUNE_RETURN_IF_ERROR(versions::RemoveVersion(FolderOf(version), nullptr));
  }
  return Status();
}

Status Deletion::KeepHeld(std::set<std::string>* shards) {
  if (shards->empty()) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const Rows rows, RowsIn(database_));
  for (const auto& [name, version] : rows) {
    Result<std::vector<Shard>> has =
        ReadShardList(storage_ / "datasets" / name / std::to_string(version) / "manifest.json");
    if (!has.ok()) {
      // Another deletion may have taken the folder since the rows were listed: its row goes first.
      ATTUNE_ASSIGN_OR_RETURN(const Rows now, RowsIn(database_));
      if (!now.contains({name, version})) continue;
      if (has.status().code() != StatusCode::kDataLoss) return has.status();
      spdlog::warn(
          "no tokens are removed, as nobody knows which of them {}@{} uses: {} (cache/tokens may "
          "be removed while no job prepares or trains)",
          name, version, has.status().message());
      shards->clear();
      return Status();
    }
    for (const Shard& shard : *has) shards->erase(shard.sha256.substr(0, kTokenNameDigits));
  }
  return Status();
}

Status Deletion::RemoveTokensOf(const fs::path& folder) {
  Result<std::vector<Shard>> has = ReadShardList(folder / "manifest.json");
  if (!has.ok()) return Status();
  std::set<std::string> shards;
  for (const Shard& shard : *has) shards.insert(shard.sha256.substr(0, kTokenNameDigits));
  ATTUNE_ASSIGN_OR_RETURN(shards, FindTokens(storage_, shards));
  ATTUNE_RETURN_IF_ERROR(KeepHeld(&shards));
  return RemoveTokens(storage_, shards);
}

Result<v1::DeleteDatasetsResponse> Deletion::Run(const v1::DeleteDatasetsRequest& request,
                                                 const std::string& actor) {
  ATTUNE_RETURN_IF_ERROR(CheckRequest(request));
  Versions versions;
  std::optional<v1::DeleteDatasetsResponse> answer;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(answer,
                            FindAnswer<v1::DeleteDatasetsResponse>(transaction, kMethod, request));
    if (answer) return Status();
    ATTUNE_ASSIGN_OR_RETURN(versions, Find(transaction, request));
    if (!request.dry_run()) return Status();
    ATTUNE_ASSIGN_OR_RETURN(answer, Plan(transaction, versions));
    answer->set_bytes_freed(BytesFreedWith(versions));
    return Status();
  }));
  if (answer) return *answer;
  const std::vector<std::string> references = ReferencesOf(versions);
  ATTUNE_RETURN_IF_ERROR(leases_->BeginRemoval(references));
  Result<v1::DeleteDatasetsResponse> response = Commit(request, versions, actor);
  const Status removed = RemoveFolders(versions);
  leases_->EndRemoval(references);
  if (response.ok()) {
    spdlog::info("dataset={} deleted by {} versions={} bytes={}", request.dataset(), actor,
                 versions.size(), response->bytes_freed());
  }
  if (response.ok() && !removed.ok()) {
    return removed.WithContext(request.dataset() +
                               " is deleted, but not all of its space is free; it is tried again "
                               "at the coordinator's next start");
  }
  return response;
}

}  // namespace attune::datasets
