#include "coordinator/store/events.h"

#include <algorithm>
#include <utility>

namespace attune {

int64_t Transaction::AppendEvent(std::string subject_kind, std::string subject_id, std::string type,
                                 std::string message, std::string snapshot) {
  return AppendEvent(std::move(subject_kind), std::move(subject_id), std::move(type),
                     std::move(message), [&](int64_t) { return snapshot; });
}

int64_t Transaction::AppendEvent(std::string subject_kind, std::string subject_id, std::string type,
                                 std::string message,
                                 const std::function<std::string(int64_t)>& snapshot) {
  soci::session& sql = *session_;
  int64_t now_us = ToMicros(now_);
  // The sequence is known only once the row is there, and the snapshot may contain it.
  sql << "INSERT INTO events (time_us, subject_kind, subject_id, type, message, snapshot) VALUES "
         "(:time, :kind, :id, :type, :message, '')",
      soci::use(now_us), soci::use(subject_kind), soci::use(subject_id), soci::use(type),
      soci::use(message);
  long long sequence = 0;
  if (!sql.get_last_insert_id("events", sequence)) {
    throw soci::soci_error("no sequence for the new event");
  }
  std::string bytes = snapshot(sequence);
  if (!bytes.empty()) {
    std::string text = EncodeBytes(bytes);
    sql << "UPDATE events SET snapshot = :snapshot WHERE sequence = :sequence", soci::use(text),
        soci::use(sequence);
  }
  events_.push_back({sequence, now_, std::move(subject_kind), std::move(subject_id),
                     std::move(type), std::move(message), std::move(bytes)});
  return sequence;
}

std::vector<Event> ReadEvents(Transaction& transaction, const std::string& subject_kind,
                              const std::string& subject_id, int64_t after_sequence, int limit) {
  std::vector<Event> events;
  long long sequence = 0, time_us = 0;
  std::string type, message, snapshot;
  soci::statement statement =
      (transaction.session().prepare
           << "SELECT sequence, time_us, type, message, snapshot FROM events WHERE subject_kind = "
              ":kind AND subject_id = :id AND sequence > :after ORDER BY sequence LIMIT :limit",
       soci::use(subject_kind), soci::use(subject_id), soci::use(after_sequence), soci::use(limit),
       soci::into(sequence), soci::into(time_us), soci::into(type), soci::into(message),
       soci::into(snapshot));
  statement.execute();
  while (statement.fetch()) {
    auto bytes = DecodeBytes(snapshot);
    events.push_back({sequence, FromMicros(time_us), subject_kind, subject_id, type, message,
                      bytes.ok() ? *bytes : std::string()});
  }
  return events;
}

int64_t LastEvent(Transaction& transaction, const std::string& subject_kind,
                  const std::string& subject_id, const std::string& but_type) {
  long long sequence = 0;
  transaction.session()
      << "SELECT sequence FROM events WHERE subject_kind = :kind AND subject_id = "
         ":id AND type <> :type ORDER BY sequence DESC LIMIT 1",
      soci::use(subject_kind), soci::use(subject_id), soci::use(but_type), soci::into(sequence);
  return sequence;
}

uint64_t PruneEvents(Transaction& transaction, const std::string& subject_kind,
                     const std::string& subject_id, const std::string& type, int keep) {
  soci::statement statement =
      (transaction.session().prepare
           << "DELETE FROM events WHERE subject_kind = :kind AND subject_id = :id AND type = :type "
              "AND sequence <= (SELECT sequence FROM events WHERE subject_kind = :kind2 AND "
              "subject_id = :id2 AND type = :type2 ORDER BY sequence DESC LIMIT 1 OFFSET :keep)",
       soci::use(subject_kind), soci::use(subject_id), soci::use(type), soci::use(subject_kind),
       soci::use(subject_id), soci::use(type), soci::use(keep));
  statement.execute(true);
  return static_cast<uint64_t>(std::max(0LL, statement.get_affected_rows()));
}

}  // namespace attune
