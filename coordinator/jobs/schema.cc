#include "coordinator/jobs/schema.h"

namespace attune::jobs {

// Times are microseconds since 1970; 0 is never. `job`, `point` and `failed` are messages
// (EncodeBytes).
std::vector<Migration> Migrations() {
  return {
      {"jobs",
       1,
       {R"sql(CREATE TABLE jobs (
                id TEXT PRIMARY KEY,
                number INTEGER NOT NULL UNIQUE,
                name TEXT NOT NULL,
                kind INTEGER NOT NULL,
                state INTEGER NOT NULL,
                created_us INTEGER NOT NULL,
                ended_us INTEGER NOT NULL,
                job TEXT NOT NULL,
                spec_source TEXT NOT NULL,
                phase INTEGER NOT NULL,
                phase_since_us INTEGER NOT NULL,
                queued_us INTEGER NOT NULL,
                not_before_us INTEGER NOT NULL,
                pause_requested INTEGER NOT NULL,
                pause_cause INTEGER NOT NULL,
                free_bytes_wanted INTEGER NOT NULL,
                no_space_pauses INTEGER NOT NULL,
                checkpoint_step INTEGER NOT NULL,
                checkpoint_path TEXT NOT NULL,
                token_sha256 TEXT NOT NULL,
                output_path TEXT NOT NULL,
                output_bytes INTEGER NOT NULL))sql",
        "CREATE INDEX jobs_by_state ON jobs (state, number)",
        "CREATE INDEX jobs_by_name ON jobs (name, number)",
        R"sql(CREATE TABLE attempts (
                job_id TEXT NOT NULL REFERENCES jobs (id),
                generation INTEGER NOT NULL,
                ranks INTEGER NOT NULL,
                placed_us INTEGER NOT NULL,
                ended_us INTEGER NOT NULL,
                outcome TEXT NOT NULL,
                PRIMARY KEY (job_id, generation)))sql",
        R"sql(CREATE TABLE trainers (
                id TEXT PRIMARY KEY,
                job_id TEXT NOT NULL REFERENCES jobs (id),
                generation INTEGER NOT NULL,
                rank INTEGER NOT NULL,
                node TEXT NOT NULL,
                slot INTEGER NOT NULL,
                state INTEGER NOT NULL,
                last_sequence INTEGER NOT NULL,
                done_task_id TEXT NOT NULL))sql",
        "CREATE INDEX trainers_by_state ON trainers (state)",
        "CREATE INDEX trainers_by_job ON trainers (job_id, generation)",
        R"sql(CREATE TABLE step_metrics (
                job_id TEXT NOT NULL REFERENCES jobs (id),
                step INTEGER NOT NULL,
                kind INTEGER NOT NULL,
                seconds REAL NOT NULL,
                point TEXT NOT NULL,
                PRIMARY KEY (job_id, step, kind)) WITHOUT ROWID)sql",
        R"sql(CREATE TABLE nodes (
                name TEXT PRIMARY KEY,
                node TEXT NOT NULL,
                seen_us INTEGER NOT NULL))sql"}},
      {"jobs", 2, {"ALTER TABLE trainers ADD COLUMN failed TEXT NOT NULL DEFAULT ''"}},
      // Rank 0 finds the checkpoint.
      {"jobs", 3, {"ALTER TABLE jobs DROP COLUMN checkpoint_path"}},
      // Of metrics, which count all jobs and show the newest of each end.
      {"jobs", 4, {"CREATE INDEX jobs_by_kind ON jobs (kind, state, ended_us)"}},
  };
}

}  // namespace attune::jobs
