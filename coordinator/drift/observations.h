#pragma once

// Rows of live data, from their arrival until their window is a data set version:
// STORAGE/live/STREAM/INCARNATION/NUMBER.jsonl, a file for each window. Rows are appended, synced,
// and exist once a transaction has moved the file's committed length; bytes past it are what a
// crash left and are cut off.

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "attune/v1/drift.pb.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "coordinator/drift/repository.h"

namespace attune {
class Database;
}

namespace attune::drift {

inline constexpr int kRejectedRowsReported = 20;

struct ObservationOptions {
  // Rows of a stream that are no data set version yet, and of one call.
  uint64_t backlog_bytes_max = 2ull << 30;
  // Of tests: an error ends the operation there, as a crash would.
  std::function<Status(std::string_view step)> fault;
};

class ObservationStore;

// Rows that arrive together: all of them are there once Finish returned OK, none without it. Used
// by one thread.
class Batch {
 public:
  ~Batch();
  // An earlier batch with the same request id is the answer. Rows sent anyway are ignored.
  bool already_done() const { return done_.has_value(); }
  // Bytes of file in order; a change of file ends the last line of the one before. Bad rows are
  // reported, not an error. kResourceExhausted: more than the stream may hold.
  Status Append(const std::string& file, std::string_view bytes);
  // kInvalidArgument when there were rows but not one was usable. kResourceExhausted when the
  // stream's backlog is full. read: a watched file that this was; it is then noted as read,
  // whatever its rows were.
  Result<v1::ObserveResponse> Finish(const FileRecord* read = nullptr);

 private:
  friend class ObservationStore;
  struct State;
  explicit Batch(std::unique_ptr<State> state);
  Status AddLine(uint64_t number, std::string_view text, bool too_long);
  Status NothingUsable() const;

  std::unique_ptr<State> state_;
  std::optional<v1::ObserveResponse> done_;
};

// Thread-safe.
class ObservationStore {
 public:
  // database: opened with Migrations(); outlives the store. storage: the cluster's folder.
  ObservationStore(Database* database, const std::filesystem::path& storage,
                   ObservationOptions options = {});

  // At start, before anything is served: cuts off what was not committed, removes what no stream
  // owns. The rows of a window that failed to become a data set version stay.
  Status Reconcile();

  // kNotFound when there is no such stream. request_id: empty means that the caller does not retry.
  // incarnation: empty for the stream that has the name now.
  Result<std::unique_ptr<Batch>> Start(const std::string& request_id, const std::string& stream,
                                       const std::string& incarnation = "");

  // The committed rows of a window, in pieces. kDataLoss when the file has fewer, kUnavailable when
  // the whole folder is away.
  Status ReadRows(const StreamRecord& stream, const WindowRecord& window,
                  const std::function<Status(std::string_view)>& take) const;
  // After the window has become a data set version. A failure is logged; the next start tries
  // again.
  void RemoveRows(const StreamRecord& stream, uint64_t window);
  // After the stream was deleted.
  void RemoveStream(const StreamRecord& stream);

 private:
  friend class Batch;
  Result<v1::ObserveResponse> Commit(Batch::State* batch, const FileRecord* read)
      EXCLUDES(append_mutex_);
  Result<v1::ObserveResponse> TryCommit(Batch::State* batch, const FileRecord* read, bool* again)
      REQUIRES(append_mutex_);
  // Of a call that took none.
  Status SaveRejected(const Batch::State& batch);
  std::filesystem::path FolderOf(const StreamRecord& stream) const;
  Status ReconcileStream(const std::filesystem::path& folder, const StreamRecord& stream);
  Status Fault(std::string_view step) const {
    return options_.fault ? options_.fault(step) : Status();
  }

  Database* const database_;
  const std::filesystem::path root_;
  const ObservationOptions options_;
  Mutex append_mutex_;  // one batch is appended at a time
};

}  // namespace attune::drift
