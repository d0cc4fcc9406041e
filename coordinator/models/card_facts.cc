#include "coordinator/models/aliases.h"
#include "coordinator/models/card.h"
#include "coordinator/models/gate_reports.h"
#include "coordinator/store/database.h"

namespace attune::models {

Result<CardFacts> GatherCard(Database* database, const v1::ModelVersion& version,
                             const FindDataset& find_dataset) {
  CardFacts facts{.version = version, .datasets = {}, .gates = {}, .moves = {}};
  const std::string name = versions::FormatReference(version.name(), version.version());
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) -> Status {
    Result<v1::GateReport> report = FindGateReport(transaction, name);
    if (report.ok()) facts.gates = *std::move(report);
    for (v1::AliasMove& move : ListMoves(transaction, version.name(), "", kMovesMax, 0)) {
      if (move.from_version() != version.version() && move.to_version() != version.version())
        continue;
      facts.moves.push_back(std::move(move));
    }
    return Status();
  }));
  for (const std::string& dataset : version.lineage().datasets()) {
    Result<v1::DatasetVersion> found = find_dataset(dataset);
    if (found.ok()) facts.datasets.push_back(*std::move(found));
  }
  return facts;
}

}  // namespace attune::models
