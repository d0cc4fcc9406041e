// Registry::Prune: first what goes is recorded as gone, in one transaction, then folders are
// removed. A crash between leaves folders that Reconcile removes.

#include <system_error>

#include "common/base/files.h"
#include "common/log/log.h"
#include "coordinator/models/aliases.h"
#include "coordinator/models/registry.h"
#include "coordinator/models/retention.h"
#include "coordinator/store/database.h"
#include "coordinator/store/requests.h"
#include "coordinator/versions/table.h"

namespace attune::models {
namespace fs = std::filesystem;
namespace {

Status CheckPrune(const v1::PruneModelsRequest& request) {
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference name,
                          versions::ParseReference("model", request.model()));
  if (name.version != 0) {
    return InvalidArgument("prune takes a model's name, without a version").WithField("model");
  }
  if (request.keep() == 0) {
    return InvalidArgument("keep must be at least 1: a name alone means the newest version")
        .WithField("keep");
  }
  return Status();
}

Result<v1::ModelVersion> Parse(const std::string& record) {
  v1::ModelVersion version;
  if (!version.ParseFromString(record)) return DataLoss("a model's record cannot be read");
  return version;
}

Result<RetentionFacts> Gather(Transaction& transaction, const std::vector<Registry::InUse>& users) {
  RetentionFacts facts;
  const versions::Table table("model");
  std::string token;
  do {
    ATTUNE_ASSIGN_OR_RETURN(versions::Page page,
                            table.List(transaction, versions::kPageSizeMax, token, true));
    for (const std::string& record : page.records) {
      ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion version, Parse(record));
      facts.versions.push_back(std::move(version));
    }
    token = page.next_page_token;
  } while (!token.empty());
  for (const v1::Alias& alias : ListAliases(transaction, "")) {
    facts.aliases.push_back({alias.model(), alias.alias(), alias.version(),
                             WayBack(transaction, alias.model(), alias.alias())});
  }
  for (const Registry::InUse& in_use : users) {
    for (auto& [version, by] : in_use(transaction)) {
      std::string& all = facts.in_use[version];
      all += (all.empty() ? "" : "; ") + by;
    }
  }
  return facts;
}

Result<v1::PruneModelsResponse> Plan(Transaction& transaction,
                                     const v1::PruneModelsRequest& request,
                                     const std::vector<Registry::InUse>& users) {
  ATTUNE_RETURN_IF_ERROR(versions::Table("model").Find(transaction, {request.model(), 0}).status());
  ATTUNE_ASSIGN_OR_RETURN(RetentionFacts facts, Gather(transaction, users));
  RetentionRule rule{.keep = request.keep()};
  if (request.has_rollback_steps()) rule.rollback_steps = request.rollback_steps();
  v1::PruneModelsResponse response;
  for (v1::PruneModelsResponse::Item& item : PlanPrune(request.model(), rule, facts)) {
    if (item.kept_for().empty()) response.set_bytes_freed(response.bytes_freed() + item.bytes());
    *response.add_items() = std::move(item);
  }
  return response;
}

Status MarkRemoved(Transaction& transaction, const std::string& reference,
                   const std::string& actor) {
  const versions::Table table("model");
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference name, versions::ParseReference("model", reference));
  ATTUNE_ASSIGN_OR_RETURN(std::string record, table.Find(transaction, name));
  ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion version, Parse(record));
  version.set_files_removed(true);
  record = version.SerializeAsString();
  table.Update(transaction, name.name, name.version, record);
  transaction.AppendEvent(table.kind(), reference, "pruned", "files removed by " + actor, record);
  return Status();
}

// A folder with all in it, or a file.
Status Remove(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return Status();
  fs::remove_all(path, error);
  if (error) return ErrnoStatus(error.value(), "remove " + path.string());
  return SyncFolder(path.parent_path());
}

}  // namespace

// Never a path out of a record, but where the registry itself puts a version, a job its output and
// an update the facts that it was decided by.
Status Registry::RemoveFiles(const v1::ModelVersion& version) {
  ATTUNE_CHECK(version.files_removed() && IsValidName(version.name()) && version.version() > 0);
  ATTUNE_RETURN_IF_ERROR(Remove(root_ / version.name() / std::to_string(version.version())));
  const std::string& update = version.lineage().update();
  if (IsValidName(update)) {
    ATTUNE_RETURN_IF_ERROR(Remove(root_.parent_path() / "gates" / (update + ".facts")));
  }
  const std::string& job = version.lineage().job_id();
  if (!IsValidName(job)) return Status();
  const fs::path output = root_.parent_path() / "runs" / job / "output";
  return version.lineage().source() == output.string() ? Remove(output) : Status();
}

Result<v1::PruneModelsResponse> Registry::Prune(const v1::PruneModelsRequest& request,
                                                const std::string& actor) {
  ATTUNE_RETURN_IF_ERROR(CheckPrune(request));
  v1::PruneModelsResponse response;
  if (request.dry_run()) {
    ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(response, Plan(transaction, request, in_use_));
      return Status();
    }));
    return response;
  }
  auto mark = [&](Transaction& transaction) -> Result<v1::PruneModelsResponse> {
    ATTUNE_ASSIGN_OR_RETURN(v1::PruneModelsResponse planned, Plan(transaction, request, in_use_));
    for (const auto& item : planned.items()) {
      if (!item.kept_for().empty()) continue;
      ATTUNE_RETURN_IF_ERROR(MarkRemoved(transaction, item.model(), actor));
    }
    return planned;
  };
  ATTUNE_ASSIGN_OR_RETURN(response,
                          Once<v1::PruneModelsResponse>(database_, "PruneModels", request, mark));
  // Also for an answer of before: what it could not remove is tried again.
  for (const auto& item : response.items()) {
    if (!item.kept_for().empty()) continue;
    ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion version, Get(item.model()));
    const Status removed = RemoveFiles(version);
    if (!removed.ok()) {
      return removed.WithContext(item.model() +
                                 " is recorded as removed, but its folder is still there; it is "
                                 "tried again at the coordinator's next start");
    }
    spdlog::info("model={} files removed by {} bytes={}", item.model(), actor, item.bytes());
  }
  return response;
}

}  // namespace attune::models
