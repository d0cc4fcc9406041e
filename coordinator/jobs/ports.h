#pragma once

// What the job controller needs from outside, one narrow interface each. All calls come from the
// controller's thread and must not block for long, except Background's work.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "attune/v1/trainer.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/catalog.h"
#include "coordinator/models/registry.h"
#include "coordinator/store/database.h"

namespace attune::jobs {

// Datasets in, models in and out. Get* read the store: never inside Database::Write.
class Artifacts {
 public:
  virtual ~Artifacts() = default;
  // kFailedPrecondition for a version whose files were removed.
  virtual Result<v1::ModelVersion> GetModel(const std::string& reference) = 0;
  virtual Result<v1::DatasetVersion> GetDataset(const std::string& reference) = 0;
  // As datasets::Catalog has it.
  virtual Status CheckDataset(Transaction& transaction, const std::string& reference) = 0;
  // As models::Registry has them. PrepareOutput runs in the background.
  virtual Result<models::PreparedOutput> PrepareOutput(
      const std::string& name, const std::filesystem::path& folder, const v1::Lineage& lineage,
      const std::map<std::string, double>& metrics) = 0;
  virtual Result<v1::ModelVersion> RegisterOutput(Transaction& transaction,
                                                  const models::PreparedOutput& output) = 0;
  virtual Status PlaceOutput(const v1::ModelVersion& version) = 0;
};

// The real ones. Both outlive the object.
class StoredArtifacts final : public Artifacts {
 public:
  StoredArtifacts(datasets::Catalog* catalog, models::Registry* registry)
      : catalog_(catalog), registry_(registry) {}
  Result<v1::ModelVersion> GetModel(const std::string& reference) override {
    ATTUNE_ASSIGN_OR_RETURN(v1::ModelVersion version, registry_->Get(reference));
    ATTUNE_RETURN_IF_ERROR(models::CheckHasFiles(version));
    return version;
  }
  Result<v1::DatasetVersion> GetDataset(const std::string& reference) override {
    return catalog_->Get(reference);
  }
  Status CheckDataset(Transaction& transaction, const std::string& reference) override {
    return catalog_->Check(transaction, reference);
  }
  Result<models::PreparedOutput> PrepareOutput(
      const std::string& name, const std::filesystem::path& folder, const v1::Lineage& lineage,
      const std::map<std::string, double>& metrics) override {
    return registry_->PrepareOutput(name, folder, lineage, metrics);
  }
  Result<v1::ModelVersion> RegisterOutput(Transaction& transaction,
                                          const models::PreparedOutput& output) override {
    return registry_->RegisterOutput(transaction, output);
  }
  Status PlaceOutput(const v1::ModelVersion& version) override {
    return registry_->PlaceOutput(version);
  }

 private:
  datasets::Catalog* const catalog_;
  models::Registry* const registry_;
};

// Sends to a trainer's stream; drops what is for one that is not attached.
class TrainerLink {
 public:
  virtual ~TrainerLink() = default;
  virtual void Send(const std::string& trainer_id, const v1::TrainerCommand& command) = 0;
  // Ends its stream, so that it dials again and sends what is not acknowledged.
  virtual void Disconnect(const std::string& trainer_id) = 0;
};

// Runs work elsewhere, then done on the controller's thread.
class Background {
 public:
  virtual ~Background() = default;
  virtual void Run(std::function<void()> work, std::function<void()> done) = 0;
};

// Told after the commit that it speaks of. Matches metrics::Metrics.
class Telemetry {
 public:
  virtual ~Telemetry() = default;
  virtual void OnJobPlaced(double queue_wait_seconds) {}
  virtual void OnStepApplied(const v1::MetricPoint& point) {}
  virtual void OnStall() {}
  // cause: a fixed list of words.
  virtual void OnAttemptLost(std::string_view cause) {}
  virtual void OnJobEnded(const v1::Job& job) {}
  // The controller stood still for so much longer than a heartbeat interval.
  virtual void OnLate(double seconds) {}
};

// Free bytes of the file system that holds a folder (or will: the nearest parent that exists).
using FreeBytes = std::function<Result<uint64_t>(const std::filesystem::path&)>;

}  // namespace attune::jobs
