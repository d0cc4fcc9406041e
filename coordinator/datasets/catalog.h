#pragma once

// Dataset versions under STORAGE/datasets/NAME/VERSION. An import streams through: rows are
// checked, identified, deduplicated and spooled in a temporary folder as their bytes arrive; Finish
// splits them, writes the shards that the name's newest version does not have, and gives the folder
// its number and its row in one transaction. Without Finish nothing is left behind. Versions share
// shards by hard links: each is whole by itself, and what only one has goes with it. Thread-safe.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "common/base/status.h"
#include "coordinator/datasets/curator.h"
#include "coordinator/datasets/leases.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/shard.h"

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
  // when the name's newest version is another than when it began: it is to be made again.
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

// Who needs versions, asked in the transaction that takes some away: "name@version", or "name" for
// the newest, to why ("job-1 is RUNNING").
using InUse = std::function<std::map<std::string, std::string>(Transaction&)>;
struct Users {
  std::vector<InUse> running;  // what goes on now and would fail
  std::vector<InUse> wanting;  // what may ask for them later; a person may decide against it
};

class Catalog {
 public:
  // database: opened with versions::Migrations(); outlives the catalog. storage: the cluster's
  // storage folder. shard_bytes: of the shards that are written.
  Catalog(Database* database, std::filesystem::path storage, Users users = {},
          uint64_t shard_bytes = kShardBytes);

  // At start, before anything is served: removes folders that no committed version owns.
  Status Reconcile();

  // Reads the indexes of the newest version's shards before it returns. The header's uris are the
  // caller's to read. cancelled: asked now and then, ends the import. Errors:
  // kInvalidArgument for a bad name, fraction or spec, kDataLoss when the version that is appended
  // to is damaged.
  Result<std::unique_ptr<Import>> StartImport(
      const v1::ImportDatasetRequest::Header& header,
      LikelyAnswers likely_answers = LikelyAnswers::kRejected,
      std::function<bool()> cancelled = nullptr);

  // "name" (newest) or "name@version"; without what it takes of the storage.
  Result<v1::DatasetVersion> Get(const std::string& reference);
  // kNotFound unless a version ("name@version") is there: asked in the transaction that makes a
  // user of it, so that it is either deleted before or its deletion is told of the user.
  static Status Check(Transaction& transaction, const std::string& reference);
  // With own_bytes and shared_bytes.
  Result<v1::DatasetVersion> Show(const std::string& reference);
  // Without source_files.
  Result<v1::ListDatasetsResponse> List(const v1::ListDatasetsRequest& request);

  // A new version of name: the distinct examples of the sources, each on the side where it was and
  // with its metadata; the first source that has it decides. validation_fraction is the first
  // source's. The same request id again returns the first answer. kDataLoss names a damaged file.
  Result<v1::DatasetVersion> Compose(const ComposeRequest& request);

  // Removes a version, or with all every one of a name; each keeps what it shares with others, and
  // no number is given out again. The same request id again returns the first answer. actor:
  // "user:NAME". kFailedPrecondition, which says what needs it, when users do (of those that only
  // want it: unless it is forced) or it is being read; then all are still there.
  Result<v1::DeleteDatasetsResponse> Delete(const v1::DeleteDatasetsRequest& request,
                                            const std::string& actor);

  // What changed from one version to another, of the same name or not. Reads the indexes of shards
  // that they do not share, and the shards that examples are shown of. Memory: 50 bytes for each
  // example of the first version's such shards. kDataLoss as below.
  Result<v1::DatasetDiff> Diff(const v1::DiffDatasetsRequest& request);

  // count examples of a split (empty: of all), each equally likely, in the shards' order; the same
  // for the same seed. Reads the shards that hold them. kDataLoss as below; take's first error is
  // returned.
  Status Sample(const v1::SampleDatasetRequest& request,
                const std::function<Status(std::string_view line)>& take);

  // What curation left out of a version, or found in it; a page. kDataLoss when the list of it is
  // damaged.
  Result<v1::ListFindingsResponse> ListFindings(const v1::ListFindingsRequest& request);

  // Ids (32 hexadecimal digits) of a split ("train", "validation", "unlabelled"), in the shards'
  // order. kDataLoss, which may come after the last id, means that they cannot be relied on.
  Status ForEachId(const std::string& reference, const std::string& split,
                   const std::function<void(std::string_view)>& take);

  // Every row of every split as JSON text (a shard's line); the first error of take is returned.
  // kDataLoss as above.
  Status ForEachRow(const std::string& reference,
                    const std::function<Status(std::string_view line)>& take);

 private:
  // A version that is not deleted while the lease is held.
  struct Held {
    v1::DatasetVersion version;
    Leases::Lease lease;
  };
  Result<Held> Hold(const std::string& reference);
  // By the header's curation, with every default; data sets that it names are those of a version.
  Result<v1::CurationSpec> CurationOf(const v1::ImportDatasetRequest::Header& header);
  Result<std::shared_ptr<const Curator>> CuratorFor(const v1::CurationSpec& spec);
  // The version that an import begins with, if there is one; checks the header against it.
  Result<std::optional<Held>> NewestFor(const v1::ImportDatasetRequest::Header& header);

  Database* const database_;
  const std::filesystem::path storage_, root_;
  const Users users_;
  const uint64_t shard_bytes_;
  Leases leases_;
};

}  // namespace attune::datasets
