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
#include <vector>

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
  // Who else needs versions, asked in the transaction that takes some away: "name@version" to why
  // ("job-1 is RUNNING").
  using InUse = std::function<std::map<std::string, std::string>(Transaction&)>;
  // database: opened with versions::Migrations() and Migrations(); outlives the registry. storage:
  // the cluster's storage folder.
  Registry(Database* database, std::filesystem::path storage, std::vector<InUse> in_use = {});

  // At start, before anything is served: removes leftovers of interrupted imports and files of
  // pruned versions, and moves outputs whose row was committed.
  Status Reconcile();

  // Errors: kInvalidArgument for a path, format or file that is not a model (nothing is left
  // behind), kNotFound for an unknown base. The same request id again returns the first answer.
  // progress hears of it often; its error ends the import.
  using Progress = std::function<Status(const char* phase, uint64_t done, uint64_t total)>;
  Result<v1::ModelVersion> Import(const v1::ImportModelRequest& request,
                                  const Progress& progress = {});

  // "name" (newest), "name@version" or "name@alias".
  Result<v1::ModelVersion> Get(const std::string& reference);
  Result<v1::ListModelsResponse> List(const v1::ListModelsRequest& request);

  // Removes the files of versions that retention.h lets go. What is known of them stays. The same
  // request id again returns the first answer. Errors: kInvalidArgument, kNotFound, and of the file
  // system, once what goes is recorded as gone.
  Result<v1::PruneModelsResponse> Prune(const v1::PruneModelsRequest& request,
                                        const std::string& actor);

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
  Status RemoveFiles(const v1::ModelVersion& version);

  Database* const database_;
  const std::filesystem::path root_;
  const std::vector<InUse> in_use_;
};

// kFailedPrecondition for a version that was pruned.
Status CheckHasFiles(const v1::ModelVersion& version);

// The version of this program's source, from `git describe` when it was built.
std::string CodeVersion();

}  // namespace attune::models
