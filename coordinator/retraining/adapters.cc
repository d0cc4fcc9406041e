#include "coordinator/retraining/adapters.h"

#include "coordinator/models/aliases.h"
#include "coordinator/models/gate_reports.h"

namespace attune::retraining {

Result<v1::DatasetVersion> CatalogDatasets::Get(const std::string& reference) {
  return catalog_->Get(reference);
}

Result<v1::DatasetVersion> CatalogDatasets::Compose(const std::string& request_id,
                                                    const std::string& name,
                                                    const std::vector<std::string>& sources,
                                                    const std::string& event) {
  datasets::ComposeRequest request;
  request.request_id = request_id;
  request.name = name;
  request.sources = sources;
  request.event = event;
  return catalog_->Compose(request);
}

Status CatalogDatasets::ForEachId(const std::string& reference, const std::string& split,
                                  const std::function<void(std::string_view)>& take) {
  return catalog_->ForEachId(reference, split, take);
}

Result<v1::ModelVersion> RegistryModels::Get(const std::string& reference) {
  return registry_->Get(reference);
}

Result<uint32_t> RegistryModels::AliasVersion(Transaction& transaction, const std::string& model,
                                              const std::string& alias) {
  ATTUNE_ASSIGN_OR_RETURN(auto found, models::FindAlias(transaction, model, alias));
  return found ? found->version() : 0;
}

std::optional<v1::AliasMove> RegistryModels::LastMove(Transaction& transaction,
                                                      const std::string& model,
                                                      const std::string& alias) {
  std::vector<v1::AliasMove> moves = models::ListMoves(transaction, model, alias, 1, 0);
  return moves.empty() ? std::nullopt : std::optional(std::move(moves[0]));
}

Status RegistryModels::MoveAlias(Transaction& transaction, const AliasMove& move) {
  models::AliasChange change;
  change.model = move.model;
  change.alias = move.alias;
  change.to_version = move.to;
  change.actor = "schedule:" + move.schedule;
  change.reason = move.reason;
  change.evidence = move.update;
  change.kind = move.rollback ? models::kRollback : models::kSet;
  change.expected_version = move.from;
  return models::MoveAlias(transaction, change).status();
}

void RegistryModels::SaveGateReport(Transaction& transaction, const v1::GateReport& report) {
  models::SaveGateReport(transaction, report);
}

}  // namespace attune::retraining
