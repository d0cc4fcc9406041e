#include "coordinator/store/database.h"

#include <soci/sqlite3/soci-sqlite3.h>

#include <algorithm>
#include <utility>

#include "common/base/files.h"
#include "coordinator/store/schema.h"

namespace attune {
namespace {

constexpr int kBusyTimeoutMs = 5000;
constexpr uint64_t kReserveBytes = 4 << 20;

std::unique_ptr<soci::session> OpenSession(const std::filesystem::path& path) {
  // SOCI reads "key=value" pairs; a quoted value may hold spaces.
  auto session = std::make_unique<soci::session>(soci::sqlite3, "dbname=\"" + path.string() + "\"");
  for (const std::string& pragma :
       {std::string("PRAGMA journal_mode=WAL"), std::string("PRAGMA synchronous=FULL"),
        std::string("PRAGMA foreign_keys=ON"), std::string("PRAGMA trusted_schema=OFF"),
        "PRAGMA busy_timeout=" + std::to_string(kBusyTimeoutMs)}) {
    *session << pragma;
  }
  return session;
}

// Rolls back what a failure left open. A failed COMMIT may already have rolled back by itself.
void Rollback(soci::session& session) {
  try {
    session << "ROLLBACK";
  } catch (const std::exception&) {
  }
}

}  // namespace

int64_t ToMicros(TimePoint time) {
  return time.time_since_epoch().count();
}
TimePoint FromMicros(int64_t micros) {
  return TimePoint(Duration(micros));
}

Result<std::unique_ptr<Database>> Database::Open(const std::filesystem::path& path,
                                                 const std::vector<Migration>& migrations,
                                                 Clock* clock) {
  if (path.string().find('"') != std::string::npos) {
    return InvalidArgument("the storage path must not contain a double quote: " + path.string());
  }
  std::unique_ptr<Database> database;
  try {
    auto writer = OpenSession(path);
    auto reader = OpenSession(path);
    database.reset(new Database(path, std::move(writer), std::move(reader), clock));
  } catch (const std::exception& exception) {
    return StatusOfException(exception).WithContext(path.string());
  }
  std::vector<Migration> all = StoreMigrations();
  all.insert(all.end(), migrations.begin(), migrations.end());
  Status migrated = database->Migrate(all);
  if (!migrated.ok()) return migrated.WithContext(path.string());
  return database;
}

Database::Database(const std::filesystem::path& path, std::unique_ptr<soci::session> writer,
                   std::unique_ptr<soci::session> reader, Clock* clock)
    : path_(path),
      clock_(clock),
      writer_(std::move(writer)),
      reserve_(path.string() + ".reserve", kReserveBytes),
      reader_(std::move(reader)) {
  reserve_.Restore();
}

Database::~Database() = default;

Status Database::Write(const Function& fn) {
  MutexLock lock(&write_mutex_);
  Transaction transaction(writer_.get(), clock_->Now());
  try {
    *writer_ << "BEGIN IMMEDIATE";
    Status status = fn(transaction);
    if (!status.ok()) {
      Rollback(*writer_);
      return status;
    }
    *writer_ << "COMMIT";
  } catch (const std::exception& exception) {
    Rollback(*writer_);
    Status status = StatusOfException(exception);
    if (status.code() == StatusCode::kResourceExhausted) reserve_.Release();
    if (write_observer_) write_observer_(status);
    return status;
  }
  if (write_observer_) write_observer_(Status());
  if (!transaction.events_.empty()) {
    for (const Observer& observer : observers_) observer(transaction.events_);
  }
  return Status();
}

Status Database::Read(const Function& fn) {
  MutexLock lock(&read_mutex_);
  Transaction transaction(reader_.get(), clock_->Now());
  try {
    *reader_ << "BEGIN";
    Status status = fn(transaction);
    Rollback(*reader_);
    return status;
  } catch (const std::exception& exception) {
    Rollback(*reader_);
    return StatusOfException(exception);
  }
}

void Database::RestoreReserve() {
  MutexLock lock(&write_mutex_);
  reserve_.Restore();
}

void Database::AddObserver(Observer observer) {
  MutexLock lock(&write_mutex_);
  observers_.push_back(std::move(observer));
}

void Database::SetWriteObserver(WriteObserver observer) {
  MutexLock lock(&write_mutex_);
  write_observer_ = std::move(observer);
}

// What a migration has done cannot be undone: the copy is the way back to the older program.
Status Database::CopyBefore(const std::vector<Migration>& migrations) {
  int applied = 0;
  ATTUNE_RETURN_IF_ERROR(Read([&](Transaction& transaction) {
    transaction.session() << "SELECT COUNT(*) FROM migrations", soci::into(applied);
    return Status();
  }));
  if (applied == 0 || applied >= static_cast<int>(migrations.size())) return Status();
  const std::string copy = path_.string() + ".v" + std::to_string(applied);
  const std::string unfinished = copy + ".tmp";
  std::error_code error;
  std::filesystem::remove(unfinished, error);
  MutexLock lock(&write_mutex_);
  try {
    *writer_ << "VACUUM INTO :path", soci::use(unfinished);
  } catch (const std::exception& exception) {
    return StatusOfException(exception).WithContext("copy the database to " + unfinished);
  }
  std::filesystem::rename(unfinished, copy, error);
  if (error) return ErrnoStatus(error.value(), "copy the database to " + copy);
  return SyncFolder(path_.parent_path());
}

Status Database::Migrate(const std::vector<Migration>& migrations) {
  ATTUNE_RETURN_IF_ERROR(Write([](Transaction& transaction) {
    transaction.session() << "CREATE TABLE IF NOT EXISTS migrations (area TEXT NOT NULL, number "
                             "INTEGER NOT NULL, applied_us INTEGER NOT NULL, PRIMARY KEY (area, "
                             "number))";
    return Status();
  }));
  // What a newer program has done to this file cannot be undone here, so refuse to touch it.
  ATTUNE_RETURN_IF_ERROR(Read([&](Transaction& transaction) {
    soci::rowset<soci::row> rows =
        (transaction.session().prepare << "SELECT area, MAX(number) FROM migrations GROUP BY area");
    for (const soci::row& row : rows) {
      auto area = row.get<std::string>(0);
      int newest = 0;
      for (const Migration& step : migrations) {
        if (step.area == area) newest = std::max(newest, step.number);
      }
      int applied = 0;
      transaction.session() << "SELECT MAX(number) FROM migrations WHERE area = :area",
          soci::use(area), soci::into(applied);
      if (applied > newest) {
        return FailedPrecondition("the schema of '" + area + "' is at version " +
                                  std::to_string(applied) + ", this program knows " +
                                  std::to_string(newest) + ": use the newer program");
      }
    }
    return Status();
  }));
  ATTUNE_RETURN_IF_ERROR(CopyBefore(migrations));
  for (const Migration& step : migrations) {
    Status status = Write([&](Transaction& transaction) {
      soci::session& sql = transaction.session();
      int count = 0;
      sql << "SELECT COUNT(*) FROM migrations WHERE area = :area AND number = :number",
          soci::use(step.area), soci::use(step.number), soci::into(count);
      if (count > 0) return Status();
      for (const std::string& statement : step.statements) sql << statement;
      int64_t now = ToMicros(transaction.now());
      sql << "INSERT INTO migrations (area, number, applied_us) VALUES (:area, :number, :now)",
          soci::use(step.area), soci::use(step.number), soci::use(now);
      return Status();
    });
    if (!status.ok()) {
      return status.WithContext("migration " + step.area + " " + std::to_string(step.number));
    }
  }
  return Status();
}

}  // namespace attune
