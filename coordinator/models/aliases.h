#pragma once

// Names that point at a version of a model ("champion"), and the history of where they pointed.
// Every function works inside the caller's transaction, so that a promotion and what it belongs to
// are one, and throws soci_error as SOCI does (Database turns it into a Status).
//
// The way back: a move of kind "set" goes forward and is put on a stack; "rollback" takes the last
// one off, and the alias points again where it did before it. So after 1, 2, 3 were set, rollbacks
// lead to 2 and to 1; when 4 is set then, the next one leads to 1 again. "delete" empties the
// stack.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/models.pb.h"
#include "common/base/status.h"
#include "coordinator/store/database.h"
#include "coordinator/versions/reference.h"

namespace attune::models {

inline constexpr char kSet[] = "set";
inline constexpr char kRollback[] = "rollback";
inline constexpr char kDelete[] = "delete";
inline constexpr uint32_t kMovesDefault = 100;
inline constexpr uint32_t kMovesMax = 1000;

// A letter first, then [a-z0-9_-], at most 63: never a number, so "name@alias" is not a version.
bool IsValidAlias(std::string_view alias);

struct AliasChange {
  std::string model;  // name
  std::string alias;
  uint32_t to_version = 0;  // kSet; of a rollback 0, or where the caller thinks that it leads
  std::string actor;        // "user:NAME" or "schedule:NAME"
  std::string reason;
  std::string evidence;
  std::string kind;                               // kSet, kRollback, kDelete
  std::optional<uint32_t> expected_version = {};  // where it must be now (0: nowhere)
};

// Appends to the history and to the event log. Setting an alias to where it is changes nothing and
// is no move. Reason and evidence become a line of at most 4 KiB each. The answer to kDelete has
// version 0. Errors: kInvalidArgument for a bad alias; kNotFound for an unknown version, or no
// alias to delete or roll back; kFailedPrecondition when it is not at expected_version (with where
// it is and who moved it there), when there is nothing to go back to, or the version's files were
// removed.
Result<v1::Alias> MoveAlias(Transaction& transaction, const AliasChange& change);

// With its last move, and where a rollback would lead.
Result<std::optional<v1::Alias>> FindAlias(Transaction& transaction, const std::string& model,
                                           const std::string& alias);
// By model and alias; an empty model: of all.
std::vector<v1::Alias> ListAliases(Transaction& transaction, const std::string& model);
// The names of those that point at a version.
std::vector<std::string> AliasesAt(Transaction& transaction, const std::string& model,
                                   uint32_t version);
// Newest first, at most limit; before: only those of a smaller sequence, 0: all. An empty model or
// alias: of all.
std::vector<v1::AliasMove> ListMoves(Transaction& transaction, const std::string& model,
                                     const std::string& alias, uint32_t limit, uint64_t before);

// Where rollbacks would lead, the next one first. Empty: there is nothing to go back to.
std::vector<uint32_t> WayBack(Transaction& transaction, const std::string& model,
                              const std::string& alias);

// "name" (version 0: the newest), "name@version" or "name@alias" to name and version. kNotFound for
// an alias that is not there; whether the version exists is not looked at.
Result<versions::Reference> Resolve(Transaction& transaction, const std::string& reference);

}  // namespace attune::models
