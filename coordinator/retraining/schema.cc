#include "coordinator/retraining/schema.h"

namespace attune::retraining {

// Times are microseconds since 1970; 0 is never. `schedule`, `record`, `spec` and `evaluation` are
// messages (EncodeBytes). What happened to an update is in the event log (subject "update").
std::vector<Migration> Migrations() {
  return {
      {"retraining",
       1,
       {R"sql(CREATE TABLE schedules (
                name TEXT PRIMARY KEY,
                schedule TEXT NOT NULL,
                looked_us INTEGER NOT NULL))sql",
        // A slot of cron fires exactly once: its row is made in the transaction that makes the
        // update.
        R"sql(CREATE TABLE slots (
                schedule TEXT NOT NULL,
                slot_us INTEGER NOT NULL,
                update_id TEXT NOT NULL,
                PRIMARY KEY (schedule, slot_us)))sql",
        R"sql(CREATE TABLE updates (
                id TEXT PRIMARY KEY,
                number INTEGER NOT NULL UNIQUE,
                schedule TEXT NOT NULL,
                state INTEGER NOT NULL,
                revision INTEGER NOT NULL,
                created_us INTEGER NOT NULL,
                ended_us INTEGER NOT NULL,
                gpu_hours REAL NOT NULL,
                last_window INTEGER NOT NULL,
                record TEXT NOT NULL,
                spec TEXT NOT NULL,
                evaluation TEXT NOT NULL,
                rounds INTEGER NOT NULL,
                watch_after INTEGER NOT NULL,
                watched INTEGER NOT NULL,
                watch_candidate_job TEXT NOT NULL,
                watch_champion_job TEXT NOT NULL,
                cancel_jobs INTEGER NOT NULL))sql",
        "CREATE INDEX updates_by_schedule ON updates (schedule, number)",
        "CREATE INDEX updates_by_state ON updates (state)"}},
      // What is looked at each second is found without reading the rest. due_us: when cron asks
      // next; 0, until a schedule is saved, has each looked at once. has_state: something other
      // than cron may ask.
      {"retraining",
       2,
       {"ALTER TABLE schedules ADD COLUMN due_us INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE schedules ADD COLUMN has_state INTEGER NOT NULL DEFAULT 0",
        "CREATE INDEX schedules_by_due ON schedules (due_us)",
        "CREATE INDEX schedules_by_looked ON schedules (looked_us)",
        "CREATE INDEX schedules_with_state ON schedules (has_state, name)",
        "DROP INDEX updates_by_state",
        "CREATE INDEX updates_open ON updates (schedule, number) WHERE state < 7 OR cancel_jobs = "
        "1",
        "CREATE INDEX updates_by_schedule_state ON updates (schedule, state)",
        "CREATE INDEX updates_by_end ON updates (schedule, ended_us)"}},
  };
}

}  // namespace attune::retraining
