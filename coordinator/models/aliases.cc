#include "coordinator/models/aliases.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "common/base/files.h"
#include "common/base/utf8.h"
#include "coordinator/versions/table.h"

namespace attune::models {
namespace {

using soci::into;
using soci::use;

constexpr size_t kAliasBytesMax = 63;
constexpr size_t kTextBytesMax = 4093;  // of a reason, of evidence; and "..."

bool IsLower(char c) {
  return c >= 'a' && c <= 'z';
}

std::string NameOf(const std::string& model, const std::string& alias) {
  return model + "@" + alias;
}

google::protobuf::Timestamp Timestamp(int64_t micros) {
  return google::protobuf::util::TimeUtil::MicrosecondsToTimestamp(micros);
}

// A line of text: nothing of it moves a terminal's cursor or ends a table's row.
std::string Line(const std::string& text) {
  std::string line = Shorten(ToValidUtf8(text), kTextBytesMax);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, ' ');
  return line;
}

Status CheckChange(const AliasChange& change) {
  if (!IsValidName(change.model)) {
    return InvalidArgument("\"" + Shorten(change.model, 100) + "\" is not a model name")
        .WithField("model");
  }
  if (!IsValidAlias(change.alias)) {
    return InvalidArgument("\"" + Shorten(change.alias, 100) +
                           "\" is not an alias: use a letter, then up to 62 of a-z, 0-9, '_', '-', "
                           "as in \"champion\"")
        .WithField("alias");
  }
  return Status();
}

// Where the alias is and who moved it there, for an error.
std::string Whereabouts(const std::string& name, const std::optional<v1::Alias>& now) {
  if (!now) return name + " does not exist";
  const v1::AliasMove& last = now->last();
  return name + " points at version " + std::to_string(now->version()) + " (moved there by " +
         last.actor() + " at " + google::protobuf::util::TimeUtil::ToString(last.time()) +
         (last.reason().empty() ? "" : ": " + Shorten(last.reason(), 200)) + ")";
}

Status CheckTarget(Transaction& transaction, const AliasChange& change, uint32_t target) {
  ATTUNE_ASSIGN_OR_RETURN(std::string record,
                          versions::Table("model").Find(transaction, {change.model, target}));
  v1::ModelVersion version;
  if (!version.ParseFromString(record)) return DataLoss("a model's record cannot be read");
  if (!version.files_removed()) return Status();
  return FailedPrecondition("the files of " + versions::FormatReference(change.model, target) +
                            " were removed: " + change.alias +
                            " cannot point at it; set it to a version that has its files");
}

// The version that the change leads to; 0: nowhere.
Result<uint32_t> Target(Transaction& transaction, const AliasChange& change,
                        const std::optional<v1::Alias>& now) {
  const std::string name = NameOf(change.model, change.alias);
  if (change.kind == kSet) {
    if (change.to_version == 0) return InvalidArgument("set needs a version").WithField("model");
    ATTUNE_RETURN_IF_ERROR(CheckTarget(transaction, change, change.to_version));
    return change.to_version;
  }
  if (!now) return NotFound("there is no alias " + name);
  if (change.kind == kDelete) return 0u;
  const std::vector<uint32_t> back = WayBack(transaction, change.model, change.alias);
  if (back.empty()) {
    return FailedPrecondition(Whereabouts(name, now) +
                              ", and there is nothing before it to go back to: set it to another "
                              "version, or delete it");
  }
  if (change.to_version != 0 && change.to_version != back.front()) {
    return FailedPrecondition("rolling back " + name + " leads to version " +
                              std::to_string(back.front()) + ", not to " +
                              std::to_string(change.to_version));
  }
  ATTUNE_RETURN_IF_ERROR(CheckTarget(transaction, change, back.front()));
  return back.front();
}

// The version that a rollback leads to; 0: none.
uint32_t Before(Transaction& transaction, const std::string& model, const std::string& alias) {
  const std::vector<uint32_t> back = WayBack(transaction, model, alias);
  return back.empty() ? 0 : back.front();
}

void SaveAlias(Transaction& transaction, const AliasChange& change, uint32_t version) {
  soci::session& sql = transaction.session();
  if (version == 0) {
    sql << "DELETE FROM aliases WHERE model = :model AND alias = :alias", use(change.model),
        use(change.alias);
    return;
  }
  const int64_t number = version, now_us = ToMicros(transaction.now());
  sql << "INSERT INTO aliases (model, alias, version, since_us) VALUES (:model, :alias, :version, "
         ":now) ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version, since_us = "
         "excluded.since_us",
      use(change.model), use(change.alias), use(number), use(now_us);
}

v1::AliasMove AppendMove(Transaction& transaction, const AliasChange& change, uint32_t from,
                         uint32_t to) {
  soci::session& sql = transaction.session();
  const int64_t from_version = from, to_version = to, now_us = ToMicros(transaction.now());
  sql << "INSERT INTO alias_moves (model, alias, from_version, to_version, time_us, actor, reason, "
         "evidence, kind) VALUES (:model, :alias, :from, :to, :now, :actor, :reason, :evidence, "
         ":kind)",
      use(change.model), use(change.alias), use(from_version), use(to_version), use(now_us),
      use(change.actor), use(change.reason), use(change.evidence), use(change.kind);
  long long sequence = 0;
  if (!sql.get_last_insert_id("alias_moves", sequence)) {
    throw soci::soci_error("no sequence for the new move");
  }
  v1::AliasMove move;
  move.set_sequence(static_cast<uint64_t>(sequence));
  move.set_model(change.model);
  move.set_alias(change.alias);
  move.set_from_version(from);
  move.set_to_version(to);
  *move.mutable_time() = Timestamp(now_us);
  move.set_actor(change.actor);
  move.set_reason(change.reason);
  move.set_evidence(change.evidence);
  move.set_kind(change.kind);
  return move;
}

std::string Describe(const v1::AliasMove& move) {
  const auto version = [](uint32_t number) {
    return number == 0 ? std::string("nowhere") : std::to_string(number);
  };
  return move.kind() + " from " + version(move.from_version()) + " to " +
         version(move.to_version()) + " by " + move.actor() +
         (move.reason().empty() ? "" : ": " + move.reason());
}

}  // namespace

bool IsValidAlias(std::string_view alias) {
  return !alias.empty() && alias.size() <= kAliasBytesMax && IsLower(alias[0]) &&
         std::all_of(alias.begin(), alias.end(), [](char c) {
           return IsLower(c) || (c >= '0' && c <= '9') || c == '_' || c == '-';
         });
}

Result<v1::Alias> MoveAlias(Transaction& transaction, const AliasChange& asked) {
  AliasChange change = asked;
  change.reason = Line(change.reason);
  change.evidence = Line(change.evidence);
  ATTUNE_CHECK(change.kind == kSet || change.kind == kRollback || change.kind == kDelete);
  ATTUNE_CHECK(!change.actor.empty());
  ATTUNE_RETURN_IF_ERROR(CheckChange(change));
  const std::string name = NameOf(change.model, change.alias);
  ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::Alias> now,
                          FindAlias(transaction, change.model, change.alias));
  const uint32_t from = now ? now->version() : 0;
  if (change.expected_version && *change.expected_version != from) {
    return FailedPrecondition(Whereabouts(name, now) + ", not at " +
                              (*change.expected_version == 0
                                   ? "none"
                                   : "version " + std::to_string(*change.expected_version)) +
                              " as was expected: look again, then decide");
  }
  ATTUNE_ASSIGN_OR_RETURN(uint32_t to, Target(transaction, change, now));
  if (change.kind == kSet && to == from) return *now;
  SaveAlias(transaction, change, to);
  v1::AliasMove move = AppendMove(transaction, change, from, to);
  transaction.AppendEvent("alias", name, change.kind, Describe(move), move.SerializeAsString());
  v1::Alias alias;
  alias.set_model(change.model);
  alias.set_alias(change.alias);
  alias.set_version(to);
  *alias.mutable_since() = move.time();
  *alias.mutable_last() = std::move(move);
  alias.set_before(Before(transaction, change.model, change.alias));
  return alias;
}

Result<std::optional<v1::Alias>> FindAlias(Transaction& transaction, const std::string& model,
                                           const std::string& alias) {
  soci::session& sql = transaction.session();
  int64_t version = 0, since_us = 0;
  sql << "SELECT version, since_us FROM aliases WHERE model = :model AND alias = :alias",
      use(model), use(alias), into(version), into(since_us);
  if (!sql.got_data()) return std::optional<v1::Alias>();
  v1::Alias found;
  found.set_model(model);
  found.set_alias(alias);
  found.set_version(static_cast<uint32_t>(version));
  *found.mutable_since() = Timestamp(since_us);
  std::vector<v1::AliasMove> moves = ListMoves(transaction, model, alias, 1, 0);
  if (moves.empty()) return DataLoss("alias " + NameOf(model, alias) + " has no history");
  *found.mutable_last() = std::move(moves[0]);
  found.set_before(Before(transaction, model, alias));
  return std::optional<v1::Alias>(std::move(found));
}

std::vector<v1::Alias> ListAliases(Transaction& transaction, const std::string& model) {
  int64_t version = 0, since_us = 0;
  std::string of_model, name;
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT model, alias, version, since_us FROM aliases WHERE (:any "
              "= '' OR model = :model) ORDER BY model, alias",
       use(model), use(model), into(of_model), into(name), into(version), into(since_us));
  rows.execute();
  std::vector<v1::Alias> aliases;
  while (rows.fetch()) {
    v1::Alias& alias = aliases.emplace_back();
    alias.set_model(of_model);
    alias.set_alias(name);
    alias.set_version(static_cast<uint32_t>(version));
    *alias.mutable_since() = Timestamp(since_us);
  }
  for (v1::Alias& alias : aliases) {
    std::vector<v1::AliasMove> last = ListMoves(transaction, alias.model(), alias.alias(), 1, 0);
    if (!last.empty()) *alias.mutable_last() = std::move(last[0]);
    alias.set_before(Before(transaction, alias.model(), alias.alias()));
  }
  return aliases;
}

std::vector<std::string> AliasesAt(Transaction& transaction, const std::string& model,
                                   uint32_t version) {
  const int64_t number = version;
  std::string alias;
  soci::statement rows = (transaction.session().prepare
                              << "SELECT alias FROM aliases WHERE model = :model AND version = "
                                 ":version ORDER BY alias",
                          use(model), use(number), into(alias));
  rows.execute();
  std::vector<std::string> aliases;
  while (rows.fetch()) aliases.push_back(alias);
  return aliases;
}

std::vector<v1::AliasMove> ListMoves(Transaction& transaction, const std::string& model,
                                     const std::string& alias, uint32_t limit, uint64_t before) {
  const int64_t below =
      before == 0 ? INT64_MAX : static_cast<int64_t>(std::min<uint64_t>(before, INT64_MAX));
  const int64_t most = limit;
  int64_t sequence = 0, from_version = 0, to_version = 0, time_us = 0;
  std::string of_model, of_alias, actor, reason, evidence, kind;
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT sequence, model, alias, from_version, to_version, time_us, actor, reason, "
              "evidence, kind FROM alias_moves WHERE (:any1 = '' OR model = :model) AND "
              "(:any2 = '' OR alias = :alias) AND sequence < :below ORDER BY sequence DESC LIMIT "
              ":most",
       use(model), use(model), use(alias), use(alias), use(below), use(most), into(sequence),
       into(of_model), into(of_alias), into(from_version), into(to_version), into(time_us),
       into(actor), into(reason), into(evidence), into(kind));
  rows.execute();
  std::vector<v1::AliasMove> moves;
  while (rows.fetch()) {
    v1::AliasMove& move = moves.emplace_back();
    move.set_sequence(static_cast<uint64_t>(sequence));
    move.set_model(of_model);
    move.set_alias(of_alias);
    move.set_from_version(static_cast<uint32_t>(from_version));
    move.set_to_version(static_cast<uint32_t>(to_version));
    *move.mutable_time() = Timestamp(time_us);
    move.set_actor(actor);
    move.set_reason(reason);
    move.set_evidence(evidence);
    move.set_kind(kind);
  }
  return moves;
}

std::vector<uint32_t> WayBack(Transaction& transaction, const std::string& model,
                              const std::string& alias) {
  int64_t from_version = 0;
  std::string kind;
  soci::statement rows =
      (transaction.session().prepare
           << "SELECT from_version, kind FROM alias_moves WHERE model = :model AND alias = :alias "
              "ORDER BY sequence",
       use(model), use(alias), into(from_version), into(kind));
  rows.execute();
  std::vector<uint32_t> stack;
  while (rows.fetch()) {
    if (kind == kDelete) stack.clear();
    if (kind == kRollback && !stack.empty()) stack.pop_back();
    if (kind == kSet && from_version != 0) stack.push_back(static_cast<uint32_t>(from_version));
  }
  std::reverse(stack.begin(), stack.end());
  return stack;
}

Result<versions::Reference> Resolve(Transaction& transaction, const std::string& reference) {
  const size_t at = reference.find('@');
  const std::string alias = at == std::string::npos ? "" : reference.substr(at + 1);
  if (!IsValidAlias(alias)) return versions::ParseReference("model", reference);
  ATTUNE_ASSIGN_OR_RETURN(versions::Reference name,
                          versions::ParseReference("model", reference.substr(0, at)));
  ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::Alias> found, FindAlias(transaction, name.name, alias));
  if (found) return versions::Reference{name.name, found->version()};
  ATTUNE_RETURN_IF_ERROR(versions::Table("model").Find(transaction, name).status());
  std::string there;
  for (const v1::Alias& other : ListAliases(transaction, name.name)) {
    there += (there.empty() ? "" : ", ") + other.alias();
  }
  return NotFound("model " + name.name + " has no alias \"" + alias +
                  "\": " + (there.empty() ? "it has none yet" : "it has " + there) +
                  "; `attune model promote " + name.name + "@VERSION --alias " + alias +
                  "` sets it");
}

}  // namespace attune::models
