#include "coordinator/retraining/repository.h"

#include <algorithm>

#include "common/base/hash.h"
#include "common/log/log.h"
#include "coordinator/retraining/decisions.h"

namespace attune::retraining {
namespace {

using soci::into;
using soci::use;

constexpr const char* kColumns =
    "SELECT id, number, revision, record, spec, evaluation, rounds, watch_after, watched, "
    "watch_candidate_job, watch_champion_job, cancel_jobs FROM updates ";

template <typename Message>
bool Decode(const std::string& text, Message* message) {
  auto bytes = DecodeBytes(text);
  return bytes.ok() && message->ParseFromString(*bytes);
}

int64_t Micros(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1'000'000 + time.nanos() / 1000;
}

// A row of kColumns.
struct Row {
  std::string id, record, spec, evaluation, candidate_job, champion_job;
  long long number = 0, revision = 0, watch_after = 0;
  int rounds = 0, watched = 0, cancel_jobs = 0;

  // One that cannot be read is left out and logged: it must not keep the others from going on.
  std::optional<UpdateRecord> ToRecord() const {
    UpdateRecord out;
    if (!Decode(record, &out.update) || !Decode(spec, &out.spec) ||
        !Decode(evaluation, &out.evaluation)) {
      spdlog::error("update={} cannot be read from the store", id);
      return std::nullopt;
    }
    out.number = number;
    out.revision = revision;
    out.rounds = static_cast<uint32_t>(rounds);
    out.watch_after = static_cast<uint64_t>(watch_after);
    out.watched = static_cast<uint32_t>(watched);
    out.watch_candidate_job = candidate_job;
    out.watch_champion_job = champion_job;
    out.cancel_jobs = cancel_jobs != 0;
    return out;
  }
};

// Runs kColumns + where with what is bound to it.
template <typename... Use>
std::vector<UpdateRecord> Select(Transaction& transaction, const std::string& where,
                                 const Use&... uses) {
  Row row;
  soci::statement statement(transaction.session());
  (statement.exchange(use(uses)), ...);
  statement.exchange(into(row.id));
  statement.exchange(into(row.number));
  statement.exchange(into(row.revision));
  statement.exchange(into(row.record));
  statement.exchange(into(row.spec));
  statement.exchange(into(row.evaluation));
  statement.exchange(into(row.rounds));
  statement.exchange(into(row.watch_after));
  statement.exchange(into(row.watched));
  statement.exchange(into(row.candidate_job));
  statement.exchange(into(row.champion_job));
  statement.exchange(into(row.cancel_jobs));
  statement.alloc();
  statement.prepare(kColumns + where);
  statement.define_and_bind();
  statement.execute();
  std::vector<UpdateRecord> records;
  while (statement.fetch()) {
    if (auto record = row.ToRecord()) records.push_back(std::move(*record));
  }
  return records;
}

// Runs the query of schedules + where with what is bound to it.
template <typename... Use>
std::vector<ScheduleRecord> SelectSchedules(Transaction& transaction, const std::string& where,
                                            const Use&... uses) {
  std::string name, schedule;
  long long looked_us = 0;
  soci::statement statement(transaction.session());
  (statement.exchange(use(uses)), ...);
  statement.exchange(into(name));
  statement.exchange(into(schedule));
  statement.exchange(into(looked_us));
  statement.alloc();
  statement.prepare("SELECT name, schedule, looked_us FROM schedules " + where);
  statement.define_and_bind();
  statement.execute();
  std::vector<ScheduleRecord> records;
  while (statement.fetch()) {
    ScheduleRecord record;
    if (!Decode(schedule, &record.schedule)) {
      spdlog::error("schedule={} cannot be read from the store", name);
      continue;
    }
    record.looked = FromMicros(looked_us);
    records.push_back(std::move(record));
  }
  return records;
}

// The index updates_open has the same words.
constexpr const char* kOpen = "WHERE (state < 7 OR cancel_jobs = 1) ";
static_assert(v1::Update::PROMOTED == 7);

}  // namespace

bool IsFinal(v1::Update::State state) {
  return state >= v1::Update::PROMOTED;
}

bool IsActive(v1::Update::State state) {
  return !IsFinal(state) && state != v1::Update::WATCHING;
}

std::string StateName(v1::Update::State state) {
  return v1::Update::State_Name(state);
}

std::optional<ScheduleRecord> FindSchedule(Transaction& transaction, const std::string& name) {
  std::vector<ScheduleRecord> found = SelectSchedules(transaction, "WHERE name = :name", name);
  return found.empty() ? std::nullopt : std::optional(std::move(found[0]));
}

void SaveSchedule(Transaction& transaction, const ScheduleRecord& record) {
  const v1::ScheduleSpec& spec = record.schedule.spec();
  const bool paused = record.schedule.paused();
  std::string schedule = EncodeBytes(record.schedule.SerializeAsString());
  const std::string& name = spec.name();
  int64_t looked_us = ToMicros(record.looked),
          due_us = ToMicros(paused ? TimePoint::max() : CronDue(spec, record.looked));
  int has_state = !paused && HasStateTrigger(spec.trigger());
  RemoveSchedule(transaction, name);
  transaction.session() << "INSERT INTO schedules (name, schedule, looked_us, due_us, has_state) "
                           "VALUES (:name, :schedule, :looked, :due, :state)",
      use(name), use(schedule), use(looked_us), use(due_us), use(has_state);
}

void RemoveSchedule(Transaction& transaction, const std::string& name) {
  transaction.session() << "DELETE FROM schedules WHERE name = :name", use(name);
}

std::vector<ScheduleRecord> LoadSchedules(Transaction& transaction, const std::string& after,
                                          int limit) {
  return SelectSchedules(transaction, "WHERE name > :after ORDER BY name LIMIT :limit", after,
                         limit);
}

std::vector<ScheduleRecord> LoadDueSchedules(Transaction& transaction, TimePoint now, int limit) {
  const int64_t now_us = ToMicros(now);
  return SelectSchedules(transaction, "WHERE due_us <= :now OR looked_us > :now2 LIMIT :limit",
                         now_us, now_us, limit);
}

std::vector<ScheduleRecord> LoadStateSchedules(Transaction& transaction, const std::string& after,
                                               int limit) {
  return SelectSchedules(transaction,
                         "WHERE has_state = 1 AND name > :after ORDER BY name LIMIT :limit", after,
                         limit);
}

bool TakeSlot(Transaction& transaction, const std::string& schedule, TimePoint slot,
              const std::string& update_id) {
  int64_t slot_us = ToMicros(slot);
  int taken = 0;
  transaction.session()
      << "SELECT COUNT(*) FROM slots WHERE schedule = :schedule AND slot_us = :slot",
      use(schedule), use(slot_us), into(taken);
  if (taken > 0) return false;
  transaction.session()
      << "INSERT INTO slots (schedule, slot_us, update_id) VALUES (:schedule, :slot, :update)",
      use(schedule), use(slot_us), use(update_id);
  return true;
}

void InsertUpdate(Transaction& transaction, UpdateRecord* record) {
  transaction.session() << "SELECT COALESCE(MAX(number), 0) + 1 FROM updates", into(record->number);
  if (record->update.id().empty()) record->update.set_id(NewId("update"));
  if (!record->update.has_seen()) {
    auto before = LoadUpdates(transaction, record->update.schedule(), 0, 1);
    if (!before.empty() && before[0].update.has_seen()) {
      *record->update.mutable_seen() = before[0].update.seen();
    }
  }
  record->revision = 0;
  const std::string& id = record->update.id();
  const std::string& schedule = record->update.schedule();
  int64_t created_us = Micros(record->update.created());
  std::string spec = EncodeBytes(record->spec.SerializeAsString());
  transaction.session()
      << "INSERT INTO updates (id, number, schedule, state, revision, created_us, ended_us, "
         "gpu_hours, last_window, record, spec, evaluation, rounds, watch_after, watched, "
         "watch_candidate_job, watch_champion_job, cancel_jobs) VALUES (:id, :number, :schedule, "
         "0, 0, :created, 0, 0, 0, '', :spec, '', 0, 0, 0, '', '', 0)",
      use(id), use(record->number), use(schedule), use(created_us), use(spec);
  ATTUNE_CHECK(SaveUpdate(transaction, record));
}

bool SaveUpdate(Transaction& transaction, UpdateRecord* record) {
  const v1::Update& update = record->update;
  int state = update.state(), rounds = static_cast<int>(record->rounds),
      watched = static_cast<int>(record->watched), cancel_jobs = record->cancel_jobs;
  int64_t next = record->revision + 1,
          ended_us = Micros(update.has_promoted() ? update.promoted() : update.ended()),
          last_window = static_cast<int64_t>(update.last_window()),
          watch_after = static_cast<int64_t>(record->watch_after);
  double gpu_hours = update.gpu_hours();
  std::string bytes = EncodeBytes(update.SerializeAsString());
  std::string spec = EncodeBytes(record->spec.SerializeAsString());
  std::string evaluation = EncodeBytes(record->evaluation.SerializeAsString());
  const std::string& id = update.id();
  soci::statement statement =
      (transaction.session().prepare
           << "UPDATE updates SET state = :state, revision = :next, ended_us = :ended, gpu_hours = "
              ":hours, last_window = :window, record = :record, spec = :spec, evaluation = "
              ":evaluation, rounds = "
              ":rounds, watch_after = :after, watched = :watched, watch_candidate_job = "
              ":candidate, watch_champion_job = :champion, cancel_jobs = :cancel WHERE id = :id "
              "AND "
              "revision = :revision",
       use(state), use(next), use(ended_us), use(gpu_hours), use(last_window), use(bytes),
       use(spec), use(evaluation), use(rounds), use(watch_after), use(watched),
       use(record->watch_candidate_job), use(record->watch_champion_job), use(cancel_jobs), use(id),
       use(record->revision));
  statement.execute(true);
  if (statement.get_affected_rows() == 0) return false;
  record->revision = next;
  return true;
}

Result<UpdateRecord> FindUpdate(Transaction& transaction, const std::string& id) {
  auto found = Select(transaction, "WHERE id = :id", id);
  if (found.empty()) {
    return NotFound("there is no update '" + id + "': `attune schedule history NAME` lists them");
  }
  return std::move(found.front());
}

std::vector<UpdateRecord> LoadOpenUpdates(Transaction& transaction, const std::string& schedule) {
  const std::string open = kOpen;
  if (schedule.empty()) {
    // In the order of the index, without which all updates were read.
    auto records = Select(transaction, open + "ORDER BY schedule, number");
    std::sort(records.begin(), records.end(),
              [](const UpdateRecord& one, const UpdateRecord& other) {
                return one.number < other.number;
              });
    return records;
  }
  return Select(transaction, open + "AND schedule = :schedule ORDER BY number", schedule);
}

std::optional<UpdateRecord> FindActiveUpdate(Transaction& transaction, const std::string& schedule,
                                             int64_t before) {
  for (UpdateRecord& record : LoadOpenUpdates(transaction, schedule)) {
    if (record.number < before && IsActive(record.update.state())) return std::move(record);
  }
  return std::nullopt;
}

std::map<std::string, std::string> ModelsInUse(Transaction& transaction) {
  std::map<std::string, std::string> models;
  for (const UpdateRecord& record : LoadOpenUpdates(transaction)) {
    const v1::Update& update = record.update;
    if (IsFinal(update.state())) continue;
    for (const std::string& model : {update.champion(), update.candidate()}) {
      if (model.empty()) continue;
      std::string& by = models[model];
      by += (by.empty() ? "" : "; ") + update.id() + " is " + StateName(update.state());
    }
  }
  return models;
}

std::vector<UpdateRecord> LoadUpdates(Transaction& transaction, const std::string& schedule,
                                      int64_t before, int limit) {
  if (before <= 0) before = INT64_MAX;
  if (schedule.empty()) {
    return Select(transaction, "WHERE number < :before ORDER BY number DESC LIMIT :limit", before,
                  limit);
  }
  return Select(transaction,
                "WHERE schedule = :schedule AND number < :before ORDER BY number DESC LIMIT :limit",
                schedule, before, limit);
}

std::vector<std::pair<TimePoint, double>> GpuHours(Transaction& transaction,
                                                   const std::string& schedule, TimePoint after) {
  std::vector<std::pair<TimePoint, double>> out;
  int64_t after_us = ToMicros(after);
  long long ended_us = 0;
  double hours = 0;
  soci::statement statement =
      (transaction.session().prepare << "SELECT ended_us, gpu_hours FROM updates WHERE schedule = "
                                        ":schedule AND gpu_hours > 0 "
                                        "AND (ended_us = 0 OR ended_us > :after)",
       use(schedule), use(after_us), into(ended_us), into(hours));
  statement.execute();
  while (statement.fetch()) out.emplace_back(FromMicros(ended_us), hours);
  return out;
}

std::optional<std::pair<std::string, TimePoint>> LastEnd(Transaction& transaction,
                                                         const std::string& schedule,
                                                         TimePoint until) {
  const int skipped = v1::Update::SKIPPED;
  const int64_t until_us = ToMicros(until);
  std::string id;
  long long ended_us = 0;
  transaction.session() << "SELECT id, ended_us FROM updates WHERE schedule = :schedule AND state "
                           "<> :skipped AND ended_us > 0 AND ended_us <= :until ORDER BY ended_us "
                           "DESC LIMIT 1",
      use(schedule), use(skipped), use(until_us), into(id), into(ended_us);
  if (!transaction.session().got_data()) return std::nullopt;
  return std::make_pair(id, FromMicros(ended_us));
}

uint64_t CountUpdates(Transaction& transaction, const std::string& schedule) {
  long long count = 0;
  transaction.session() << "SELECT COUNT(*) FROM updates WHERE schedule = :schedule", use(schedule),
      into(count);
  return static_cast<uint64_t>(count);
}

std::map<std::pair<std::string, std::string>, uint64_t> CountUpdates(Transaction& transaction) {
  std::map<std::pair<std::string, std::string>, uint64_t> out;
  std::string schedule;
  int state = 0;
  long long count = 0;
  soci::statement statement =
      (transaction.session().prepare
           << "SELECT schedule, state, COUNT(*) FROM updates GROUP BY schedule, state",
       into(schedule), into(state), into(count));
  statement.execute();
  while (statement.fetch()) {
    out[{schedule, StateName(static_cast<v1::Update::State>(state))}] =
        static_cast<uint64_t>(count);
  }
  return out;
}

}  // namespace attune::retraining
