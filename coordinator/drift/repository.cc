#include "coordinator/drift/repository.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <sstream>

namespace attune::drift {
namespace {

using soci::into;
using soci::use;

constexpr int kNamesInMessage = 10;

template <typename Message>
bool TryParse(const std::string& text, Message* message) {
  auto bytes = DecodeBytes(text);
  return bytes.ok() && message->ParseFromString(*bytes);
}

template <typename Message>
std::string Encode(const Message& message) {
  return EncodeBytes(message.SerializeAsString());
}

Status NoStream(Transaction& transaction, const std::string& name) {
  soci::rowset<std::string> names =
      (transaction.session().prepare << "SELECT name FROM streams ORDER BY name LIMIT :limit",
       use(kNamesInMessage));
  std::string list;
  for (const std::string& other : names) list += (list.empty() ? "" : ", ") + other;
  return NotFound("there is no stream '" + name + "': " +
                  (list.empty() ? "there are none yet; make one with `attune drift apply FILE`"
                                : "there are " + list));
}

// False: the record is damaged, and the window says so.
bool ParseWindow(const std::string& stream, long long number, const std::string& record,
                 v1::Window* window) {
  if (TryParse(record, window)) return true;
  window->Clear();
  window->set_stream(stream);
  window->set_number(static_cast<uint64_t>(number));
  window->set_state("failed");
  window->set_reason(kWindowUnreadable);
  return false;
}

struct WindowRow {
  int phase = 0;
  long long number = 0, rows = 0, labelled = 0, bytes = 0, opened_us = 0, since_us = 0;
  int excluded = 0;
  std::string profile_key, record, excluded_reason;

  WindowRecord ToRecord(const std::string& stream) const {
    WindowRecord r;
    r.phase = static_cast<Phase>(phase);
    r.rows = static_cast<uint64_t>(rows);
    r.labelled = static_cast<uint64_t>(labelled);
    r.bytes = static_cast<uint64_t>(bytes);
    r.opened = FromMicros(opened_us);
    r.since = FromMicros(since_us);
    r.profile_key = profile_key;
    if (!ParseWindow(stream, number, record, &r.window)) {
      *r.window.mutable_opened() =
          google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(opened_us);
      r.unreadable = r.phase != Phase::kOpen;  // of that one the columns have all
      if (!r.unreadable) {
        r.window.clear_state();
        r.window.clear_reason();
      }
    }
    r.window.set_excluded(excluded != 0);
    r.window.set_excluded_reason(excluded_reason);
    return r;
  }
};

}  // namespace

Result<StreamRecord> FindStream(Transaction& transaction, const std::string& name) {
  soci::session& sql = transaction.session();
  StreamRecord r;
  std::string record;
  sql << "SELECT incarnation, record FROM streams WHERE name = :name", use(name),
      into(r.incarnation), into(record);
  if (!sql.got_data()) return NoStream(transaction, name);
  if (!TryParse(record, &r.stream)) {
    return DataLoss("the record of stream '" + name +
                    "' cannot be read: restore the database from a backup, or give the stream up "
                    "with `attune drift delete " +
                    name + "`");
  }
  return r;
}

Result<StreamRecord> FindStream(Transaction& transaction, const std::string& name,
                                const std::string& incarnation) {
  ATTUNE_ASSIGN_OR_RETURN(StreamRecord r, FindStream(transaction, name));
  if (r.incarnation == incarnation) return r;
  return NotFound("stream '" + name + "' was deleted and made anew");
}

std::optional<std::string> FindIncarnation(Transaction& transaction, const std::string& name) {
  std::string incarnation;
  soci::session& sql = transaction.session();
  sql << "SELECT incarnation FROM streams WHERE name = :name", use(name), into(incarnation);
  if (!sql.got_data()) return std::nullopt;
  return incarnation;
}

void SaveStream(Transaction& transaction, const StreamRecord& record) {
  std::string text = Encode(record.stream);
  transaction.session() << "INSERT INTO streams (name, incarnation, record) VALUES (:name, "
                           ":incarnation, :record) ON CONFLICT (name) DO UPDATE SET record = "
                           "excluded.record, incarnation = excluded.incarnation",
      use(record.stream.spec().name()), use(record.incarnation), use(text);
}

void RemoveStream(Transaction& transaction, const std::string& name) {
  soci::session& sql = transaction.session();
  sql << "DELETE FROM streams WHERE name = :name", use(name);
  sql << "DELETE FROM stream_windows WHERE stream = :name", use(name);
  sql << "DELETE FROM stream_files WHERE stream = :name", use(name);
}

std::vector<StreamRecord> LoadStreams(Transaction& transaction, const std::string& after,
                                      uint32_t limit) {
  std::vector<StreamRecord> records;
  int most = static_cast<int>(limit);
  soci::rowset<soci::row> rows =
      (transaction.session().prepare << "SELECT incarnation, record, name FROM streams WHERE "
                                        "name > :after ORDER BY name LIMIT :limit",
       use(after), use(most));
  for (const soci::row& row : rows) {
    StreamRecord& record = records.emplace_back();
    record.incarnation = row.get<std::string>(0);
    if (TryParse(row.get<std::string>(1), &record.stream)) continue;
    record.unreadable = true;
    record.stream.Clear();
    record.stream.mutable_spec()->set_name(row.get<std::string>(2));
    record.stream.set_state("new");
    record.stream.set_problem(kUnreadable);
  }
  return records;
}

void SaveWindow(Transaction& transaction, const WindowRecord& r) {
  v1::Window window = r.window;
  window.clear_excluded();
  window.clear_excluded_reason();
  std::string record = Encode(window);
  int64_t number = static_cast<int64_t>(r.window.number());
  int phase = static_cast<int>(r.phase);
  int64_t rows = static_cast<int64_t>(r.rows), labelled = static_cast<int64_t>(r.labelled);
  int64_t bytes = static_cast<int64_t>(r.bytes);
  int64_t opened_us = ToMicros(r.opened), since_us = ToMicros(r.since);
  transaction.session()
      << "INSERT INTO stream_windows (stream, number, phase, rows, labelled, bytes, opened_us, "
         "since_us, profile_key, record) VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j) ON "
         "CONFLICT (stream, number) DO UPDATE SET phase = excluded.phase, rows = excluded.rows, "
         "labelled = excluded.labelled, bytes = excluded.bytes, opened_us = excluded.opened_us, "
         "since_us = excluded.since_us, profile_key = excluded.profile_key, record = "
         "excluded.record",
      use(r.window.stream()), use(number), use(phase), use(rows), use(labelled), use(bytes),
      use(opened_us), use(since_us), use(r.profile_key), use(record);
}

void SetExcluded(Transaction& transaction, const std::string& stream, uint64_t number,
                 bool excluded, const std::string& reason) {
  int64_t n = static_cast<int64_t>(number);
  int flag = excluded ? 1 : 0;
  transaction.session() << "UPDATE stream_windows SET excluded = :flag, excluded_reason = :reason "
                           "WHERE stream = :stream AND number = :number",
      use(flag), use(reason), use(stream), use(n);
}

std::optional<WindowRecord> FindWindow(Transaction& transaction, const std::string& stream,
                                       uint64_t number) {
  int64_t n = static_cast<int64_t>(number);
  WindowRow r;
  soci::session& sql = transaction.session();
  sql << "SELECT number, phase, rows, labelled, bytes, opened_us, since_us, profile_key, record, "
         "excluded, excluded_reason FROM stream_windows WHERE stream = :stream AND number = "
         ":number",
      use(stream), use(n), into(r.number), into(r.phase), into(r.rows), into(r.labelled),
      into(r.bytes), into(r.opened_us), into(r.since_us), into(r.profile_key), into(r.record),
      into(r.excluded), into(r.excluded_reason);
  if (!sql.got_data()) return std::nullopt;
  return r.ToRecord(stream);
}

std::optional<WindowRecord> FindOpenWindow(Transaction& transaction, const std::string& stream) {
  return FirstWindow(transaction, stream, Phase::kOpen, Phase::kOpen);
}

// In two statements: SQLite would rather go through all of the stream's windows, as they lie in
// the order that is asked for, than through the index and to the window.
std::optional<WindowRecord> FirstWindow(Transaction& transaction, const std::string& stream,
                                        Phase from, Phase to) {
  int first = static_cast<int>(from), last = static_cast<int>(to);
  long long number = 0;
  transaction.session() << "SELECT COALESCE(MIN(number), 0) FROM stream_windows WHERE stream = "
                           ":stream AND phase BETWEEN :from AND :to",
      use(stream), use(first), use(last), into(number);
  if (number == 0) return std::nullopt;
  return FindWindow(transaction, stream, static_cast<uint64_t>(number));
}

std::vector<v1::Window> LoadWindows(Transaction& transaction, const std::string& stream,
                                    uint64_t after, uint32_t limit) {
  std::vector<v1::Window> windows;
  int64_t first = static_cast<int64_t>(std::min<uint64_t>(after, INT64_MAX));
  int phase = static_cast<int>(Phase::kClosed);
  int most = static_cast<int>(limit);
  std::string record, excluded_reason;
  long long number = 0;
  int excluded = 0;
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT number, record, excluded, excluded_reason FROM stream_windows WHERE stream = "
              ":stream AND number > :after AND phase >= :phase ORDER BY number LIMIT :limit",
       use(stream), use(first), use(phase), use(most), into(number), into(record), into(excluded),
       into(excluded_reason));
  rows.execute();
  while (rows.fetch()) {
    v1::Window& window = windows.emplace_back();
    ParseWindow(stream, number, record, &window);
    window.set_excluded(excluded != 0);
    window.set_excluded_reason(excluded_reason);
  }
  return windows;
}

std::vector<v1::Window> MeasuredBefore(Transaction& transaction, const std::string& stream,
                                       const std::string& profile_key, uint64_t number,
                                       uint32_t limit) {
  std::vector<v1::Window> windows;
  int64_t below = static_cast<int64_t>(number);
  int phase = static_cast<int>(Phase::kDone);
  int most = static_cast<int>(limit);
  soci::rowset<std::string> rows =
      (transaction.session().prepare << "SELECT record FROM stream_windows WHERE stream = :stream "
                                        "AND number < :number AND phase = :phase AND profile_key = "
                                        ":key ORDER BY number DESC LIMIT :limit",
       use(stream), use(below), use(phase), use(profile_key), use(most));
  for (const std::string& record : rows) {
    v1::Window window;
    if (TryParse(record, &window) && window.state() == "measured")
      windows.push_back(std::move(window));
  }
  std::reverse(windows.begin(), windows.end());
  return windows;
}

std::optional<v1::Window> LastMeasured(Transaction& transaction, const std::string& stream) {
  constexpr int kLookedAt = 20;  // windows that failed may follow it
  int phase = static_cast<int>(Phase::kDone);
  soci::rowset<std::string> rows =
      (transaction.session().prepare << "SELECT record FROM stream_windows WHERE stream = :stream "
                                        "AND phase = :phase ORDER BY number DESC LIMIT :limit",
       use(stream), use(phase), use(kLookedAt));
  for (const std::string& record : rows) {
    v1::Window window;
    if (TryParse(record, &window) && window.state() == "measured") return window;
  }
  return std::nullopt;
}

bool HasTimesAhead(Transaction& transaction, const std::string& stream) {
  if (CountWindowsSince(transaction, stream, transaction.now() + Duration(1)) > 0) return true;
  auto embedding = FirstWindow(transaction, stream, Phase::kEmbedding, Phase::kEmbedding);
  return embedding && embedding->since > transaction.now();
}

void SetTimesBack(Transaction& transaction, const std::string& stream) {
  const int64_t now_us = ToMicros(transaction.now());
  transaction.session() << "UPDATE stream_windows SET opened_us = :a WHERE stream = :b AND "
                           "opened_us > :c",
      use(now_us), use(stream), use(now_us);
  transaction.session() << "UPDATE stream_windows SET since_us = :a WHERE stream = :b AND "
                           "since_us > :c",
      use(now_us), use(stream), use(now_us);
}

uint64_t CountWindowsSince(Transaction& transaction, const std::string& stream, TimePoint since) {
  int64_t since_us = ToMicros(since);
  long long count = 0;
  transaction.session() << "SELECT COUNT(*) FROM stream_windows WHERE stream = :stream AND "
                           "opened_us >= :since",
      use(stream), use(since_us), into(count);
  return static_cast<uint64_t>(count);
}

uint64_t LastWindowNumber(Transaction& transaction, const std::string& stream) {
  long long number = 0;
  transaction.session() << "SELECT COALESCE(MAX(number), 0) FROM stream_windows WHERE stream = "
                           ":stream",
      use(stream), into(number);
  return static_cast<uint64_t>(number);
}

uint64_t BacklogBytes(Transaction& transaction, const std::string& stream) {
  long long bytes = 0;
  int phase = static_cast<int>(Phase::kClosed);
  transaction.session() << "SELECT COALESCE(SUM(bytes), 0) FROM stream_windows WHERE stream = "
                           ":stream AND phase < :phase",
      use(stream), use(phase), into(bytes);
  return static_cast<uint64_t>(bytes);
}

uint64_t CountWaiting(Transaction& transaction, const std::string& stream) {
  auto open = FindOpenWindow(transaction, stream);
  return open ? open->rows : 0;
}

std::map<std::string, uint64_t> CountUnfinishedWindows(Transaction& transaction) {
  std::map<std::string, uint64_t> counts = {{"open", 0}, {"waiting", 0}, {"embedding", 0}};
  static_assert(static_cast<int>(Phase::kDone) == 5);  // as the index of those that are not has it
  int phase = 0;
  long long count = 0;
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT phase, COUNT(*) FROM stream_windows WHERE phase < 5 GROUP BY phase",
       into(phase), into(count));
  rows.execute();
  while (rows.fetch()) {
    const char* state = phase == static_cast<int>(Phase::kOpen)        ? "open"
                        : phase == static_cast<int>(Phase::kEmbedding) ? "embedding"
                                                                       : "waiting";
    counts[state] += static_cast<uint64_t>(count);
  }
  return counts;
}

std::optional<FileRecord> FindFile(Transaction& transaction, const std::string& stream,
                                   const std::string& path) {
  FileRecord r;
  r.path = path;
  long long bytes = 0, modified_us = 0;
  soci::session& sql = transaction.session();
  sql << "SELECT bytes, modified_us, sha256 FROM stream_files WHERE stream = :stream AND path = "
         ":path",
      use(stream), use(path), into(bytes), into(modified_us), into(r.sha256);
  if (!sql.got_data()) return std::nullopt;
  r.bytes = static_cast<uint64_t>(bytes);
  r.modified_us = modified_us;
  return r;
}

bool HasContent(Transaction& transaction, const std::string& stream, const std::string& sha256) {
  int count = 0;
  transaction.session() << "SELECT COUNT(*) FROM stream_files WHERE stream = :stream AND sha256 = "
                           ":sha",
      use(stream), use(sha256), into(count);
  return count > 0;
}

void SaveFile(Transaction& transaction, const std::string& stream, const FileRecord& record) {
  int64_t bytes = static_cast<int64_t>(record.bytes);
  transaction.session() << "INSERT INTO stream_files (stream, path, bytes, modified_us, sha256) "
                           "VALUES (:stream, :path, :bytes, :modified, :sha) ON CONFLICT (stream, "
                           "path) DO UPDATE SET bytes = excluded.bytes, modified_us = "
                           "excluded.modified_us, sha256 = excluded.sha256",
      use(stream), use(record.path), use(bytes), use(record.modified_us), use(record.sha256);
}

std::optional<ProfileRecord> FindProfile(Transaction& transaction, const std::string& key) {
  ProfileRecord r;
  r.key = key;
  int phase = 0, attempt = 0;
  long long since_us = 0;
  std::string jobs, record;
  soci::session& sql = transaction.session();
  sql << "SELECT phase, attempt, jobs, reason, sha256, since_us, record, made FROM profiles WHERE "
         "key = :key",
      use(key), into(phase), into(attempt), into(jobs), into(r.reason), into(r.sha256),
      into(since_us), into(record), into(r.made);
  if (!sql.got_data()) return std::nullopt;
  if (!TryParse(record, &r.of)) return std::nullopt;  // it is made anew
  r.phase = static_cast<ProfileRecord::Phase>(phase);
  r.attempt = static_cast<uint32_t>(attempt);
  r.since = FromMicros(since_us);
  std::istringstream words(jobs);
  for (std::string job; words >> job;) r.jobs.push_back(job);
  return r;
}

void SaveProfile(Transaction& transaction, const ProfileRecord& record) {
  int phase = static_cast<int>(record.phase), attempt = static_cast<int>(record.attempt);
  int64_t since_us = ToMicros(record.since), used_us = ToMicros(transaction.now());
  std::string jobs;
  for (const std::string& job : record.jobs) jobs += (jobs.empty() ? "" : " ") + job;
  std::string text = Encode(record.of);
  transaction.session()
      << "INSERT INTO profiles (key, record, phase, attempt, jobs, reason, "
         "sha256, since_us, used_us, made) VALUES (:a, :b, :c, :d, :e, :f, :g, :h, :i, :j) "
         "ON CONFLICT (key) DO UPDATE SET record = excluded.record, phase = excluded.phase, "
         "attempt = excluded.attempt, jobs = excluded.jobs, reason = excluded.reason, "
         "sha256 = excluded.sha256, since_us = excluded.since_us, used_us = "
         "excluded.used_us, made = excluded.made",
      use(record.key), use(text), use(phase), use(attempt), use(jobs), use(record.reason),
      use(record.sha256), use(since_us), use(used_us), use(record.made);
}

void BeginAgain(ProfileRecord* record, TimePoint now) {
  record->phase = ProfileRecord::Phase::kEmbedding;
  ++record->attempt;
  record->jobs.clear();
  record->reason.clear();
  record->since = now;
}

std::vector<std::string> PruneProfiles(Transaction& transaction, int keep) {
  soci::session& sql = transaction.session();
  std::vector<std::string> keys;
  int phase = static_cast<int>(Phase::kEmbedding);
  soci::rowset<std::string> old =
      (sql.prepare << "SELECT key FROM profiles WHERE key NOT IN (SELECT profile_key FROM "
                      "stream_windows WHERE phase = :phase) AND key NOT IN (SELECT COALESCE("
                      "(SELECT w.profile_key FROM stream_windows w WHERE w.stream = s.name AND "
                      "w.profile_key <> '' ORDER BY w.number DESC LIMIT 1), '') FROM streams s) "
                      "ORDER BY used_us DESC, key LIMIT 1000000 OFFSET :keep",
       use(phase), use(keep));
  for (const std::string& key : old) keys.push_back(key);
  for (const std::string& key : keys) sql << "DELETE FROM profiles WHERE key = :key", use(key);
  return keys;
}

}  // namespace attune::drift
