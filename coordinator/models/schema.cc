#include "coordinator/models/schema.h"

namespace attune::models {

// Times are microseconds since 1970. The triggers make the history what it says it is, whoever
// writes to the database.
std::vector<Migration> Migrations() {
  return {
      {"models",
       1,
       {R"sql(CREATE TABLE aliases (
                model TEXT NOT NULL,
                alias TEXT NOT NULL,
                version INTEGER NOT NULL,
                since_us INTEGER NOT NULL,
                PRIMARY KEY (model, alias)))sql",
        R"sql(CREATE TABLE alias_moves (
                sequence INTEGER PRIMARY KEY AUTOINCREMENT,
                model TEXT NOT NULL,
                alias TEXT NOT NULL,
                from_version INTEGER NOT NULL,
                to_version INTEGER NOT NULL,
                time_us INTEGER NOT NULL,
                actor TEXT NOT NULL,
                reason TEXT NOT NULL,
                evidence TEXT NOT NULL,
                kind TEXT NOT NULL))sql",
        "CREATE INDEX alias_moves_by_alias ON alias_moves (model, alias, sequence)",
        R"sql(CREATE TRIGGER alias_moves_stay BEFORE DELETE ON alias_moves
              BEGIN SELECT RAISE(ABORT, 'the history of an alias is never shortened'); END)sql",
        R"sql(CREATE TRIGGER alias_moves_stay_as_they_are BEFORE UPDATE ON alias_moves
              BEGIN SELECT RAISE(ABORT, 'the history of an alias is never changed'); END)sql",
        R"sql(CREATE TABLE gate_reports (
                candidate TEXT PRIMARY KEY,
                report TEXT NOT NULL,
                saved_us INTEGER NOT NULL))sql"}},
  };
}

}  // namespace attune::models
