#pragma once

// The ports over the coordinator's own parts, all of which outlive them.

#include "coordinator/datasets/catalog.h"
#include "coordinator/models/registry.h"
#include "coordinator/retraining/ports.h"

namespace attune::retraining {

class CatalogDatasets final : public Datasets {
 public:
  explicit CatalogDatasets(datasets::Catalog* catalog) : catalog_(catalog) {}
  Result<v1::DatasetVersion> Get(const std::string& reference) override;
  Result<v1::DatasetVersion> Compose(const std::string& request_id, const std::string& name,
                                     const std::vector<std::string>& sources,
                                     const std::string& event) override;
  Status ForEachId(const std::string& reference, const std::string& split,
                   const std::function<void(std::string_view)>& take) override;

 private:
  datasets::Catalog* const catalog_;
};

class RegistryModels final : public Models {
 public:
  explicit RegistryModels(models::Registry* registry) : registry_(registry) {}
  Result<v1::ModelVersion> Get(const std::string& reference) override;
  Result<uint32_t> AliasVersion(Transaction& transaction, const std::string& model,
                                const std::string& alias) override;
  std::optional<v1::AliasMove> LastMove(Transaction& transaction, const std::string& model,
                                        const std::string& alias) override;
  Status MoveAlias(Transaction& transaction, const AliasMove& move) override;
  void SaveGateReport(Transaction& transaction, const v1::GateReport& report) override;

 private:
  models::Registry* const registry_;
};

}  // namespace attune::retraining
