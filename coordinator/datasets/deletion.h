#pragma once

// Takes versions of data sets away: their rows in one transaction, then their folders and what the
// token cache has of shards that no other version holds. A crash between leaves marked folders that
// Reconcile removes the same way. Private to this folder.

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/catalog.h"
#include "coordinator/datasets/leases.h"
#include "coordinator/store/database.h"

namespace attune::datasets {

class Deletion {
 public:
  // All outlive the object. storage: the cluster's.
  Deletion(Database* database, const std::filesystem::path& storage, const Users& users,
           Leases* leases)
      : database_(database), storage_(storage), users_(users), leases_(leases) {}

  // As Catalog::Delete.
  Result<v1::DeleteDatasetsResponse> Run(const v1::DeleteDatasetsRequest& request,
                                         const std::string& actor);

  // Removes the tokens of a folder's shards that no version in the store holds. Of a folder without
  // a manifest nothing: it was removed in part, after its tokens.
  Status RemoveTokensOf(const std::filesystem::path& folder);

 private:
  using Versions = std::vector<v1::DatasetVersion>;

  Result<Versions> Find(Transaction& transaction, const v1::DeleteDatasetsRequest& request);
  Result<v1::DeleteDatasetsResponse> Plan(Transaction& transaction, const Versions& versions);
  Result<v1::DeleteDatasetsResponse> Commit(const v1::DeleteDatasetsRequest& request,
                                            const Versions& versions, const std::string& actor);
  Status RemoveFolders(const Versions& versions);
  std::filesystem::path FolderOf(const v1::DatasetVersion& version) const;
  // Takes those out that a version in the store holds; all of them when one's manifest is damaged
  // or missing, as it may hold any. The error of one that cannot be read, which may pass.
  Status KeepHeld(std::set<std::string>* shards);

  Database* const database_;
  const std::filesystem::path storage_;
  const Users& users_;
  Leases* const leases_;
};

}  // namespace attune::datasets
