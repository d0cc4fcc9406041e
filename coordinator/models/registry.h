#pragma once

// The model registry: immutable versions under STORAGE/models/NAME/VERSION, each with where it came
// from.
//
// An import is copied under a temporary name, checked, and gets its version number and its row in
// one transaction. A job's output stays where the trainer wrote it until its row is committed; only
// then does it move, so that no crash can lose it: until the move, `path` of the version says the
// old place.

#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "attune/v1/models.pb.h"
#include "common/base/status.h"

namespace attune {
class Database;
class Transaction;
}  // namespace attune

namespace attune::models {

// A finished job's folder, checked and checksummed, ready to be registered.
struct PreparedOutput {
  std::string name;              // registry name
  std::filesystem::path folder;  // runs/JOB/output
  v1::ModelVersion version;      // all but version, created and path
};

class Registry {
 public:
  // database: opened with versions::Migrations(); outlives the registry. storage: the cluster's
  // storage folder.
  Registry(Database* database, std::filesystem::path storage);

  // At start, before anything is served: removes leftovers of interrupted imports and moves outputs
  // whose row was committed.
  Status Reconcile();

  // Errors: kInvalidArgument for a path, format or file that is not a model (nothing is left
  // behind), kNotFound for an unknown base. The same request id again returns the first answer.
  // progress hears of it often; its error ends the import.
  using Progress = std::function<Status(const char* phase, uint64_t done, uint64_t total)>;
  Result<v1::ModelVersion> Import(const v1::ImportModelRequest& request,
                                  const Progress& progress = {});

  // "name" (newest) or "name@version".
  Result<v1::ModelVersion> Get(const std::string& reference);
  Result<v1::ListModelsResponse> List(const v1::ListModelsRequest& request);

  // Registering a job's output, in three steps:
  // 1. before the transaction, as it reads every byte: check and checksum. lineage.code_version is
  // filled in.
  Result<PreparedOutput> PrepareOutput(const std::string& name, const std::filesystem::path& folder,
                                       const v1::Lineage& lineage,
                                       const std::map<std::string, double>& metrics);
  // 2. inside the transaction that ends the job. Idempotent by lineage.job_id.
  Result<v1::ModelVersion> RegisterOutput(Transaction& transaction, const PreparedOutput& output);
  // 3. after the commit, before anybody is given the path: moves the folder to its place. A failure
  // costs nothing: the version is readable where it is and the next Reconcile tries again.
  Status PlaceOutput(const v1::ModelVersion& version);

 private:
  // Sets the base and the architecture of an adapter's version, and the folder of its base.
  Status ResolveBase(const std::string& given, const std::string& named, v1::ModelVersion* version,
                     std::string* path);

  Database* const database_;
  const std::filesystem::path root_;
};

// The version of this program's source, from `git describe` when it was built.
std::string CodeVersion();

}  // namespace attune::models
