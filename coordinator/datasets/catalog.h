#pragma once

// Dataset versions under STORAGE/datasets/NAME/VERSION. An import streams through: rows are
// checked, identified, deduplicated, split and written to shards in a temporary folder as their
// bytes arrive; Finish gives the folder its number and its row in one transaction. Without Finish
// nothing is left behind. Thread-safe: the database is the only state.

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/row.h"

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
  // kInvalidArgument when not one row was usable; the message has the first reasons. kUnavailable
  // when an append's newest version is no longer the newest: it is to be made again.
  virtual Result<v1::DatasetVersion> Finish() = 0;
};

struct ComposeRequest {
  std::string request_id;
  std::string name;
  std::vector<std::string> sources;  // "name@version"
  std::string event;                 // why, for the event log; may be empty
};

// Of a new version: valid, and without a version number.
Status CheckNewName(const std::string& name);

class Catalog {
 public:
  // database: opened with versions::Migrations(); outlives the catalog. storage: the cluster's
  // storage folder.
  Catalog(Database* database, std::filesystem::path storage);

  // At start, before anything is served: removes folders that no committed version owns.
  Status Reconcile();

  // With append the newest version's examples are copied before it returns. Errors:
  // kInvalidArgument for a bad name or fraction, kDataLoss when the version that is appended to is
  // damaged.
  Result<std::unique_ptr<Import>> StartImport(
      const v1::ImportDatasetRequest::Header& header,
      LikelyAnswers likely_answers = LikelyAnswers::kRejected);

  // "name" (newest) or "name@version".
  Result<v1::DatasetVersion> Get(const std::string& reference);
  Result<v1::ListDatasetsResponse> List(const v1::ListDatasetsRequest& request);

  // A new version of name: the distinct examples of the sources, each on the side where it was and
  // with its metadata; the first source that has it decides. validation_fraction is the first
  // source's. The same request id again returns the first answer. kDataLoss names a damaged file.
  Result<v1::DatasetVersion> Compose(const ComposeRequest& request);

  // Ids (32 hexadecimal digits) of a split ("train", "validation", "unlabelled"), in the shards'
  // order. kDataLoss, which may come after the last id, means that they cannot be relied on.
  Status ForEachId(const std::string& reference, const std::string& split,
                   const std::function<void(std::string_view)>& take);

  // Every row of every split as JSON text (a shard's line); the first error of take is returned.
  // kDataLoss as above.
  Status ForEachRow(const std::string& reference,
                    const std::function<Status(std::string_view line)>& take);

 private:
  // split: empty for all.
  Status ForEachLine(const std::string& reference, const std::string& split,
                     const std::function<Status(std::string_view)>& take);
  // The version that an append begins with, if there is one; checks the header against it.
  Result<std::optional<v1::DatasetVersion>> AppendedTo(
      const v1::ImportDatasetRequest::Header& header);

  Database* const database_;
  const std::filesystem::path root_;
};

}  // namespace attune::datasets
