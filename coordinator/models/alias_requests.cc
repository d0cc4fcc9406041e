#include "coordinator/models/alias_requests.h"

#include <algorithm>
#include <functional>

#include "common/log/log.h"
#include "coordinator/models/aliases.h"
#include "coordinator/store/requests.h"
#include "coordinator/versions/table.h"

namespace attune::models {
namespace {

void Log(const v1::Alias& alias) {
  const v1::AliasMove& move = alias.last();
  spdlog::info("alias={}@{} {} from {} to {} by {} reason=\"{}\"", alias.model(), alias.alias(),
               move.kind(), move.from_version(), move.to_version(), move.actor(), move.reason());
}

// Makes the change once for a request id. make says, in the transaction, what is asked.
template <typename Request>
Result<v1::Alias> MoveOnce(Database* database, const char* method, const Request& request,
                           const std::function<Result<AliasChange>(Transaction&)>& make) {
  bool moved = false;
  auto alias = Once<v1::Alias>(
      database, method, request, [&](Transaction& transaction) -> Result<v1::Alias> {
        ATTUNE_ASSIGN_OR_RETURN(AliasChange change, make(transaction));
        ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::Alias> before,
                                FindAlias(transaction, change.model, change.alias));
        ATTUNE_ASSIGN_OR_RETURN(v1::Alias after, MoveAlias(transaction, change));
        moved = !before || before->last().sequence() != after.last().sequence();
        return after;
      });
  if (alias.ok() && moved) Log(*alias);
  return alias;
}

Status CheckModelExists(Transaction& transaction, const std::string& model) {
  if (model.empty()) return Status();
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference name, versions::ParseReference("model", model));
  if (name.version != 0) {
    return InvalidArgument("\"" + model + "\": give the model's name without a version")
        .WithField("model");
  }
  return versions::Table("model").Find(transaction, name).status();
}

}  // namespace

Result<v1::Alias> SetAlias(Database* database, const v1::SetAliasRequest& request,
                           const std::string& actor) {
  return MoveOnce(
      database, "SetAlias", request, [&](Transaction& transaction) -> Result<AliasChange> {
        ATTUNE_ASSIGN_OR_RETURN(versions::Reference model, Resolve(transaction, request.model()));
        if (model.version == 0) {
          ATTUNE_ASSIGN_OR_RETURN(std::string record,
                                  versions::Table("model").Find(transaction, model));
          v1::ModelVersion newest;
          newest.ParseFromString(record);
          return InvalidArgument("say which version of " + model.name + ": the newest is " +
                                 versions::FormatReference(model.name, newest.version()))
              .WithField("model");
        }
        AliasChange change{.model = model.name,
                           .alias = request.alias(),
                           .to_version = model.version,
                           .actor = actor,
                           .reason = request.reason(),
                           .evidence = request.evidence(),
                           .kind = kSet};
        if (request.has_expected_version()) change.expected_version = request.expected_version();
        return change;
      });
}

Result<v1::Alias> RollBackAlias(Database* database, const v1::RollBackAliasRequest& request,
                                const std::string& actor) {
  return MoveOnce(database, "RollBackAlias", request, [&](Transaction&) -> Result<AliasChange> {
    return AliasChange{.model = request.model(),
                       .alias = request.alias(),
                       .actor = actor,
                       .reason = request.reason(),
                       .evidence = request.evidence(),
                       .kind = kRollback};
  });
}

Result<v1::DeleteAliasResponse> DeleteAlias(Database* database,
                                            const v1::DeleteAliasRequest& request,
                                            const std::string& actor) {
  Result<v1::Alias> deleted =
      MoveOnce(database, "DeleteAlias", request, [&](Transaction&) -> Result<AliasChange> {
        return AliasChange{.model = request.model(),
                           .alias = request.alias(),
                           .actor = actor,
                           .reason = request.reason(),
                           .evidence = "",
                           .kind = kDelete};
      });
  if (!deleted.ok()) return deleted.status();
  return v1::DeleteAliasResponse();
}

Result<v1::ListAliasesResponse> ListAliases(Database* database,
                                            const v1::ListAliasesRequest& request) {
  v1::ListAliasesResponse response;
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_RETURN_IF_ERROR(CheckModelExists(transaction, request.model()));
    for (v1::Alias& alias : ListAliases(transaction, request.model())) {
      *response.add_aliases() = std::move(alias);
    }
    return Status();
  }));
  return response;
}

Result<v1::ListAliasMovesResponse> ListAliasMoves(Database* database,
                                                  const v1::ListAliasMovesRequest& request) {
  const uint32_t size =
      request.page_size() == 0 ? kMovesDefault : std::min(request.page_size(), kMovesMax);
  v1::ListAliasMovesResponse response;
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_RETURN_IF_ERROR(CheckModelExists(transaction, request.model()));
    for (v1::AliasMove& move :
         ListMoves(transaction, request.model(), request.alias(), size + 1, request.before())) {
      if (response.moves_size() == static_cast<int>(size)) {
        response.set_more(true);
        break;
      }
      *response.add_moves() = std::move(move);
    }
    return Status();
  }));
  return response;
}

}  // namespace attune::models
