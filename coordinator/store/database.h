#pragma once

// The coordinator's state: one SQLite file in WAL mode behind SOCI. Every change is one transaction
// that also appends to the event log; what Write returned OK for survives kill -9 and power loss.
//
// One connection writes, under a mutex; another reads a consistent snapshot at the same time. A
// function handed to Write or Read may use SOCI freely (soci_error is caught here and becomes a
// Status) and must not call Write or Read itself.

#include <soci/soci.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "coordinator/store/space_reserve.h"

namespace attune {

// One numbered step of one area's schema. An area ("jobs", "datasets") owns its tables and its
// numbers, which count from 1 and never change once released. Each step runs once, in its own
// transaction.
struct Migration {
  std::string area;
  int number;
  std::vector<std::string> statements;
};

// A line of the event log.
struct Event {
  int64_t sequence = 0;  // global, increasing, never reused
  TimePoint time;
  std::string subject_kind;  // "job", "model", "dataset", "node"
  std::string subject_id;
  std::string type;  // "submitted", "step", ...
  std::string message;
  std::string snapshot;  // the subject after the event, serialized; may be empty
};

int64_t ToMicros(TimePoint time);
TimePoint FromMicros(int64_t micros);

class Transaction {
 public:
  soci::session& session() { return *session_; }
  TimePoint now() const { return now_; }

  // Returns the event's sequence. Throws soci_error as any statement does. snapshot may be made
  // from the sequence (so that a subject can carry its last event's number).
  int64_t AppendEvent(std::string subject_kind, std::string subject_id, std::string type,
                      std::string message, std::string snapshot);
  int64_t AppendEvent(std::string subject_kind, std::string subject_id, std::string type,
                      std::string message, const std::function<std::string(int64_t)>& snapshot);

 private:
  friend class Database;
  Transaction(soci::session* session, TimePoint now) : session_(session), now_(now) {}
  soci::session* const session_;
  const TimePoint now_;
  std::vector<Event> events_;
};

class Database {
 public:
  using Function = std::function<Status(Transaction&)>;
  using Observer = std::function<void(const std::vector<Event>&)>;

  // Creates the file if there is none and brings the schema up to date; a file of an older version
  // is copied before to PATH.vN, N the number of steps its schema has. Errors: kDataLoss for a
  // damaged file, kFailedPrecondition for one made by a newer version or not writable.
  static Result<std::unique_ptr<Database>> Open(const std::filesystem::path& path,
                                                const std::vector<Migration>& migrations,
                                                Clock* clock);
  ~Database();

  // Runs fn in one transaction: committed when fn returns OK, rolled back when it returns an error
  // or throws. kResourceExhausted: disk full. kDataLoss: damaged file. kUnavailable: another
  // process holds the lock for longer than the busy timeout.
  Status Write(const Function& fn) EXCLUDES(write_mutex_);
  // Runs fn on a snapshot of what is committed. fn must not change anything.
  Status Read(const Function& fn) EXCLUDES(read_mutex_);

  // A write that found the disk full gave up a reserve, so that those after it (that the job is
  // paused) fit. Takes it again when there is room; called now and then.
  void RestoreReserve() EXCLUDES(write_mutex_);

  // Called after each commit, in commit order, with its events. Must not block or touch the
  // database.
  void AddObserver(Observer observer) EXCLUDES(write_mutex_);
  // Called after each Write with what the database said to it; not when fn refused. Must not block
  // or touch the database.
  using WriteObserver = std::function<void(const Status&)>;
  void SetWriteObserver(WriteObserver observer) EXCLUDES(write_mutex_);

 private:
  Database(const std::filesystem::path& path, std::unique_ptr<soci::session> writer,
           std::unique_ptr<soci::session> reader, Clock* clock);
  Status Migrate(const std::vector<Migration>& migrations) EXCLUDES(write_mutex_);
  Status CopyBefore(const std::vector<Migration>& migrations) EXCLUDES(write_mutex_);

  const std::filesystem::path path_;
  Clock* const clock_;
  Mutex write_mutex_;
  const std::unique_ptr<soci::session> writer_ PT_GUARDED_BY(write_mutex_);
  std::vector<Observer> observers_ GUARDED_BY(write_mutex_);
  WriteObserver write_observer_ GUARDED_BY(write_mutex_);
  SpaceReserve reserve_ GUARDED_BY(write_mutex_);
  Mutex read_mutex_;
  const std::unique_ptr<soci::session> reader_ PT_GUARDED_BY(read_mutex_);
};

// Bytes as text: the one form that binds alike in SQLite and PostgreSQL through SOCI.
std::string EncodeBytes(std::string_view bytes);
Result<std::string> DecodeBytes(std::string_view text);

// What a statement's exception means. Used by Database; public for code that opens its own
// sessions.
Status StatusOfException(const std::exception& exception);

}  // namespace attune
