#include "coordinator/store/schema.h"

namespace attune {

std::vector<Migration> StoreMigrations() {
  return {
      {"store",
       1,
       {R"sql(CREATE TABLE events (
                sequence INTEGER PRIMARY KEY AUTOINCREMENT,
                time_us INTEGER NOT NULL,
                subject_kind TEXT NOT NULL,
                subject_id TEXT NOT NULL,
                type TEXT NOT NULL,
                message TEXT NOT NULL,
                snapshot TEXT NOT NULL))sql",
        "CREATE INDEX events_by_subject ON events (subject_kind, subject_id, sequence)",
        R"sql(CREATE TABLE requests (
                request_id TEXT PRIMARY KEY,
                method TEXT NOT NULL,
                request_hash TEXT NOT NULL,
                response TEXT NOT NULL,
                expires_us INTEGER NOT NULL))sql",
        "CREATE INDEX requests_by_expiry ON requests (expires_us)"}},
      // Answers age by the hours that coordinators ran, which no clock that is set can move.
      {"store",
       2,
       {"DROP INDEX requests_by_expiry", "ALTER TABLE requests DROP COLUMN expires_us",
        "ALTER TABLE requests ADD COLUMN saved_hour INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX requests_by_hour ON requests (saved_hour)",
        "CREATE TABLE running_hours (hours INTEGER NOT NULL)",
        "INSERT INTO running_hours (hours) VALUES (0)"}},
  };
}

}  // namespace attune
