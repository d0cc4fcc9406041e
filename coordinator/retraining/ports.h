#pragma once

// What retraining needs from outside, one narrow interface each, with adapters in adapters.h. All
// are thread-safe; a call that reads the store must not come from within Database::Write, but those
// that take a Transaction must.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/datasets.pb.h"
#include "attune/v1/drift.pb.h"
#include "attune/v1/gates.pb.h"
#include "attune/v1/models.pb.h"
#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/jobs/runner.h"
#include "coordinator/store/database.h"

namespace attune::retraining {

class Datasets {
 public:
  virtual ~Datasets() = default;
  virtual Result<v1::DatasetVersion> Get(const std::string& reference) = 0;
  // A new version of name out of the distinct examples of the sources. The same request id again
  // returns the first answer.
  virtual Result<v1::DatasetVersion> Compose(const std::string& request_id, const std::string& name,
                                             const std::vector<std::string>& sources,
                                             const std::string& event) = 0;
  // Ids of a split, as Catalog::ForEachId.
  virtual Status ForEachId(const std::string& reference, const std::string& split,
                           const std::function<void(std::string_view)>& take) = 0;
};

struct AliasMove {
  std::string model, alias;
  uint32_t from = 0;  // where it must be now; 0: nowhere
  uint32_t to = 0;
  bool rollback = false;
  std::string schedule, reason, update;
};
class Models {
 public:
  virtual ~Models() = default;
  virtual Result<v1::ModelVersion> Get(const std::string& reference) = 0;
  // The version that an alias points at; 0: there is no such alias.
  virtual Result<uint32_t> AliasVersion(Transaction& transaction, const std::string& model,
                                        const std::string& alias) = 0;
  // The newest one of an alias, with who made it; nothing: there is none.
  virtual std::optional<v1::AliasMove> LastMove(Transaction& transaction, const std::string& model,
                                                const std::string& alias) = 0;
  // kFailedPrecondition when it is not where it must be, or cannot go back to where it should.
  virtual Status MoveAlias(Transaction& transaction, const AliasMove& move) = 0;
  virtual void SaveGateReport(Transaction& transaction, const v1::GateReport& report) = 0;
};

class LiveData {
 public:
  virtual ~LiveData() = default;
  virtual Result<v1::Stream> Get(const std::string& stream) = 0;
  // Another number after each change of the stream and its windows, but for rows that were taken.
  virtual Result<int64_t> Revision(const std::string& stream) = 0;
  // Closed ones, oldest first, with numbers after `after`.
  virtual Result<std::vector<v1::Window>> Windows(const std::string& stream, uint64_t after,
                                                  uint32_t limit) = 0;
  // Now, if the open window holds rows.
  virtual Result<v1::Stream> CloseWindow(const std::string& request_id,
                                         const std::string& stream) = 0;
};

// All outlive the controller.
struct Ports {
  Database* database = nullptr;  // opened with Migrations()
  Clock* clock = nullptr;
  jobs::JobRunner* jobs = nullptr;
  Datasets* datasets = nullptr;
  Models* models = nullptr;
  LiveData* live = nullptr;  // null: there are no streams
  std::function<Result<v1::GateReport>(const v1::GateFacts& facts)> decide;
  std::filesystem::path storage;
  // Of tests: called after each commit; false ends the controller's work there, as a crash would.
  std::function<bool()> after_commit;
};

}  // namespace attune::retraining
