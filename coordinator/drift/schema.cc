#include "coordinator/drift/schema.h"

namespace attune::drift {

// Times are microseconds since 1970; 0 is never. `record` is a message (EncodeBytes).
std::vector<Migration> Migrations() {
  return {
      {"drift",
       1,
       // incarnation tells a stream from an earlier one of its name.
       {R"sql(CREATE TABLE streams (
                name TEXT PRIMARY KEY,
                incarnation TEXT NOT NULL,
                record TEXT NOT NULL))sql",
        R"sql(CREATE TABLE stream_windows (
                stream TEXT NOT NULL,
                number INTEGER NOT NULL,
                phase INTEGER NOT NULL,
                rows INTEGER NOT NULL,
                labelled INTEGER NOT NULL,
                bytes INTEGER NOT NULL,
                opened_us INTEGER NOT NULL,
                profile_key TEXT NOT NULL,
                since_us INTEGER NOT NULL,
                record TEXT NOT NULL,
                PRIMARY KEY (stream, number)) WITHOUT ROWID)sql",
        "CREATE INDEX stream_windows_by_phase ON stream_windows (stream, phase, number)",
        R"sql(CREATE TABLE stream_files (
                stream TEXT NOT NULL,
                path TEXT NOT NULL,
                bytes INTEGER NOT NULL,
                modified_us INTEGER NOT NULL,
                sha256 TEXT NOT NULL,
                PRIMARY KEY (stream, path)) WITHOUT ROWID)sql",
        "CREATE INDEX stream_files_by_content ON stream_files (stream, sha256)",
        R"sql(CREATE TABLE profiles (
                key TEXT PRIMARY KEY,
                phase INTEGER NOT NULL,
                attempt INTEGER NOT NULL,
                jobs TEXT NOT NULL,
                reason TEXT NOT NULL,
                sha256 TEXT NOT NULL,
                since_us INTEGER NOT NULL,
                used_us INTEGER NOT NULL,
                record TEXT NOT NULL))sql"}},
      // A profile that was forgotten and is asked for again asks for jobs of its own.
      {"drift", 2, {"ALTER TABLE profiles ADD COLUMN made TEXT NOT NULL DEFAULT ''"}},
      // Columns of their own: a window is saved whole by who measures it.
      {"drift",
       3,
       {"ALTER TABLE stream_windows ADD COLUMN excluded INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE stream_windows ADD COLUMN excluded_reason TEXT NOT NULL DEFAULT ''"}},
      // What is asked each second, and at each scrape, must not read all windows.
      {"drift",
       4,
       {"CREATE INDEX stream_windows_by_opening ON stream_windows (stream, opened_us)",
        "CREATE INDEX stream_windows_unfinished ON stream_windows (phase) WHERE phase < 5"}},
  };
}

}  // namespace attune::drift
