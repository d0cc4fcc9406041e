#include "coordinator/versions/table.h"

#include <algorithm>

namespace attune::versions {
namespace {

constexpr int kNamesInMessage = 5;

}  // namespace

std::vector<Migration> Migrations() {
  return {{"versions",
           1,
           {R"sql(CREATE TABLE versions (
                    kind TEXT NOT NULL,
                    name TEXT NOT NULL,
                    version INTEGER NOT NULL,
                    origin TEXT,
                    record TEXT NOT NULL,
                    PRIMARY KEY (kind, name, version)))sql",
            "CREATE UNIQUE INDEX versions_by_origin ON versions (kind, origin)",
            R"sql(CREATE TABLE version_counters (
                    kind TEXT NOT NULL,
                    name TEXT NOT NULL,
                    last INTEGER NOT NULL,
                    PRIMARY KEY (kind, name)))sql"}}};
}

uint32_t Table::NextVersion(Transaction& transaction, const std::string& name) const {
  soci::session& sql = transaction.session();
  int64_t last = 0;
  sql << "SELECT last FROM version_counters WHERE kind = :kind AND name = :name", soci::use(kind_),
      soci::use(name), soci::into(last);
  bool known = sql.got_data();
  int64_t next = known ? last + 1 : 1;
  if (known) {
    sql << "UPDATE version_counters SET last = :last WHERE kind = :kind AND name = :name",
        soci::use(next), soci::use(kind_), soci::use(name);
  } else {
    sql << "INSERT INTO version_counters (kind, name, last) VALUES (:kind, :name, :last)",
        soci::use(kind_), soci::use(name), soci::use(next);
  }
  return static_cast<uint32_t>(next);
}

void Table::Insert(Transaction& transaction, const std::string& name, uint32_t version,
                   const std::string& origin, const std::string& record) const {
  int64_t number = version;
  std::string text = EncodeBytes(record);
  soci::indicator origin_set = origin.empty() ? soci::i_null : soci::i_ok;
  transaction.session() << "INSERT INTO versions (kind, name, version, origin, record) "
                           "VALUES (:kind, :name, :version, :origin, :record)",
      soci::use(kind_), soci::use(name), soci::use(number), soci::use(origin, origin_set),
      soci::use(text);
}

void Table::Update(Transaction& transaction, const std::string& name, uint32_t version,
                   const std::string& record) const {
  int64_t number = version;
  std::string text = EncodeBytes(record);
  transaction.session() << "UPDATE versions SET record = :record "
                           "WHERE kind = :kind AND name = :name AND version = :version",
      soci::use(text), soci::use(kind_), soci::use(name), soci::use(number);
}

void Table::Delete(Transaction& transaction, const std::string& name, uint32_t version) const {
  int64_t number = version;
  transaction.session() << "DELETE FROM versions WHERE kind = :kind AND name = :name "
                           "AND version = :version",
      soci::use(kind_), soci::use(name), soci::use(number);
}

Result<std::string> Table::Find(Transaction& transaction, const Reference& reference) const {
  soci::session& sql = transaction.session();
  int64_t version = reference.version;
  std::string text;
  sql << "SELECT record FROM versions WHERE kind = :kind AND name = :name "
         "AND (:any = 0 OR version = :version) ORDER BY version DESC LIMIT 1",
      soci::use(kind_), soci::use(reference.name), soci::use(version), soci::use(version),
      soci::into(text);
  if (!sql.got_data()) return WhatThereIs(transaction, reference);
  return DecodeBytes(text);
}

uint32_t Table::Newest(Transaction& transaction, const std::string& name) const {
  int64_t newest = 0;
  soci::indicator any = soci::i_null;
  transaction.session() << "SELECT MAX(version) FROM versions WHERE kind = :kind AND name = :name",
      soci::use(kind_), soci::use(name), soci::into(newest, any);
  return any == soci::i_ok ? static_cast<uint32_t>(newest) : 0;
}

Status Table::WhatThereIs(Transaction& transaction, const Reference& reference) const {
  soci::session& sql = transaction.session();
  const uint32_t newest = Newest(transaction, reference.name);
  if (newest > 0) {
    return NotFound(kind_ + " " + reference.name + " has no version " +
                    std::to_string(reference.version) + ": the newest is " +
                    std::to_string(newest));
  }
  soci::rowset<std::string> names =
      (sql.prepare << "SELECT DISTINCT name FROM versions WHERE kind = :kind "
                      "ORDER BY name LIMIT :limit",
       soci::use(kind_), soci::use(kNamesInMessage));
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  return NotFound("no " + kind_ + " named \"" + reference.name + "\": " +
                  (list.empty() ? "there are none yet; import one first" : "there are " + list));
}

Result<std::optional<std::string>> Table::FindByOrigin(Transaction& transaction,
                                                       const std::string& origin) const {
  soci::session& sql = transaction.session();
  std::string text;
  sql << "SELECT record FROM versions WHERE kind = :kind AND origin = :origin", soci::use(kind_),
      soci::use(origin), soci::into(text);
  if (!sql.got_data()) return std::optional<std::string>();
  ATTUNE_ASSIGN_OR_RETURN(std::string record, DecodeBytes(text));
  return std::optional<std::string>(std::move(record));
}

Result<Page> Table::List(Transaction& transaction, uint32_t page_size,
                         const std::string& page_token, bool all_versions) const {
  Reference after;
  int64_t after_version = 0;
  if (!page_token.empty()) {
    Result<Reference> parsed = ParseReference(kind_, page_token);
    if (!parsed.ok() || parsed->version == 0) {
      return InvalidArgument("the page token is not one that was given out")
          .WithField("page_token");
    }
    after = *parsed;
    after_version = after.version;
  }
  int limit =
      static_cast<int>(std::min(page_size == 0 ? kPageSizeDefault : page_size, kPageSizeMax));
  int one_more = limit + 1;
  int all = all_versions ? 1 : 0;
  soci::rowset<soci::row> rows =
      (transaction.session().prepare
           << "SELECT v.name, v.version, v.record FROM versions v WHERE v.kind = :kind "
              "AND (v.name > :name1 OR (v.name = :name2 AND v.version < :version)) "
              "AND (:all = 1 OR v.version = (SELECT MAX(w.version) FROM versions w "
              "WHERE w.kind = v.kind AND w.name = v.name)) "
              "ORDER BY v.name, v.version DESC LIMIT :limit",
       soci::use(kind_), soci::use(after.name), soci::use(after.name), soci::use(after_version),
       soci::use(all), soci::use(one_more));
  Page page;
  std::string last;
  for (const soci::row& row : rows) {
    if (page.records.size() == static_cast<size_t>(limit)) {
      page.next_page_token = last;
      break;
    }
    ATTUNE_ASSIGN_OR_RETURN(std::string record, DecodeBytes(row.get<std::string>(2)));
    page.records.push_back(std::move(record));
    last = FormatReference(row.get<std::string>(0), static_cast<uint32_t>(row.get<int>(1)));
  }
  return page;
}

std::set<std::pair<std::string, uint32_t>> Table::All(Transaction& transaction) const {
  soci::rowset<soci::row> rows =
      (transaction.session().prepare << "SELECT name, version FROM versions WHERE kind = :kind",
       soci::use(kind_));
  std::set<std::pair<std::string, uint32_t>> all;
  for (const soci::row& row : rows) {
    all.emplace(row.get<std::string>(0), static_cast<uint32_t>(row.get<int>(1)));
  }
  return all;
}

}  // namespace attune::versions
