#pragma once

// Dataset versions under STORAGE/datasets/NAME/VERSION. An import streams through: rows are
// checked, identified, deduplicated, split and written to shards in a temporary folder as their
// bytes arrive; Finish gives the folder its number and its row in one transaction. Without Finish
// nothing is left behind.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"

namespace attune {
class Database;
class Transaction;
}  // namespace attune

namespace attune::datasets {

// One running import; used by one thread.
class Import {
 public:
  virtual ~Import() = default;  // removes what was not finished

  // The version that an earlier import with the same request id made. Rows sent anyway are ignored.
  virtual bool already_done() const = 0;
  // Bytes of file in order; a change of file ends the last line of the one before.
  virtual Status Append(const std::string& file, std::string_view bytes) = 0;
  // kInvalidArgument when not one row was usable; the message has the first reasons.
  virtual Result<v1::DatasetVersion> Finish() = 0;
};

class Catalog {
 public:
  // database: opened with versions::Migrations(); outlives the catalog. storage: the cluster's
  // storage folder.
  Catalog(Database* database, std::filesystem::path storage);

  // At start, before anything is served: removes folders that no committed version owns.
  Status Reconcile();

  // Errors: kInvalidArgument for a bad name or fraction.
  Result<std::unique_ptr<Import>> StartImport(const v1::ImportDatasetRequest::Header& header);

  // "name" (newest) or "name@version".
  Result<v1::DatasetVersion> Get(const std::string& reference);
  Result<v1::ListDatasetsResponse> List(const v1::ListDatasetsRequest& request);

 private:
  Database* const database_;
  const std::filesystem::path root_;
};

}  // namespace attune::datasets
