#pragma once

// Schedules and updates in the store. Every function works inside the caller's transaction and
// throws soci_error as SOCI does (Database turns it into a Status).

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "attune/v1/evaluation.pb.h"
#include "attune/v1/schedules.pb.h"
#include "common/base/status.h"
#include "coordinator/store/database.h"

namespace attune::retraining {

struct ScheduleRecord {
  // spec, source, created, changed, paused, pause_reason; the rest follows from the updates.
  v1::Schedule schedule;
  TimePoint looked;  // cron slots up to here have been seen to
};
inline const std::string& NameOf(const ScheduleRecord& record) {
  return record.schedule.spec().name();
}

// One update with what only the controller knows.
struct UpdateRecord {
  v1::Update update;
  v1::ScheduleSpec spec;  // as it was when the update was made: a later change is for later ones
  int64_t number = 0;     // over all schedules, from 1
  int64_t revision = 0;   // counts changes, so that two writers notice each other
  v1::EvaluateRequest evaluation;  // from EVALUATING on; without the model
  uint32_t rounds = 0;             // how often the champion changed under the evaluation
  uint64_t watch_after = 0;        // WATCHING: windows up to here are seen to
  uint32_t watched = 0;            // windows that were compared
  std::string watch_candidate_job, watch_champion_job;
  bool cancel_jobs = false;  // it ended: its jobs are to end too, and what they wrote is to go
};

// Nothing happens by itself any more.
bool IsFinal(v1::Update::State state);
// It takes resources and keeps others from starting: neither final nor WATCHING.
bool IsActive(v1::Update::State state);
std::string StateName(v1::Update::State state);

std::optional<ScheduleRecord> FindSchedule(Transaction& transaction, const std::string& name);
void SaveSchedule(Transaction& transaction, const ScheduleRecord& record);
void RemoveSchedule(Transaction& transaction, const std::string& name);
// By name, after a name, at most limit.
std::vector<ScheduleRecord> LoadSchedules(Transaction& transaction, const std::string& after,
                                          int limit);

// Those whose cron may ask for something at a time: a slot is due, or the clock was set back since
// they were looked at. At most limit, which need not be by name: whoever saves one takes it out.
std::vector<ScheduleRecord> LoadDueSchedules(Transaction& transaction, TimePoint now, int limit);
// Those that are not paused and have a trigger other than cron; as LoadSchedules.
std::vector<ScheduleRecord> LoadStateSchedules(Transaction& transaction, const std::string& after,
                                               int limit);

// False when the slot has fired already.
bool TakeSlot(Transaction& transaction, const std::string& schedule, TimePoint slot,
              const std::string& update_id);

// Gives the record its number and its update its id, and what the schedule's update before it has
// seen when it has seen nothing itself: so the newest one knows what was seen.
void InsertUpdate(Transaction& transaction, UpdateRecord* record);
// False when the stored revision is not the record's: somebody else changed it. Else the record's
// revision goes up by one.
bool SaveUpdate(Transaction& transaction, UpdateRecord* record);
// kNotFound when there is none.
Result<UpdateRecord> FindUpdate(Transaction& transaction, const std::string& id);
// Those that are not final or whose jobs are to be cancelled, by number. An empty schedule: of all.
std::vector<UpdateRecord> LoadOpenUpdates(Transaction& transaction,
                                          const std::string& schedule = "");
// The first open one that IsActive, but for those from a number on.
std::optional<UpdateRecord> FindActiveUpdate(Transaction& transaction, const std::string& schedule,
                                             int64_t before = INT64_MAX);
// The models that open updates need, "name@version", and which update: "update-1 is EVALUATING".
std::map<std::string, std::string> ModelsInUse(Transaction& transaction);
// Newest first, with numbers below before (0: from the newest), at most limit. An empty schedule:
// of all.
std::vector<UpdateRecord> LoadUpdates(Transaction& transaction, const std::string& schedule,
                                      int64_t before, int limit);
// (end, hours) of updates that ended after a time or have not ended (their end is 0). One that was
// promoted ended then, though it may be watched for weeks.
std::vector<std::pair<TimePoint, double>> GpuHours(Transaction& transaction,
                                                   const std::string& schedule, TimePoint after);
// The update that did something and ended, or was promoted, last, but not after a time; and when.
std::optional<std::pair<std::string, TimePoint>> LastEnd(Transaction& transaction,
                                                         const std::string& schedule,
                                                         TimePoint until);
uint64_t CountUpdates(Transaction& transaction, const std::string& schedule);
// By schedule and state.
std::map<std::pair<std::string, std::string>, uint64_t> CountUpdates(Transaction& transaction);

}  // namespace attune::retraining
