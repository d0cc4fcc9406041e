// What is due: slots of cron, and what else asks for an update. Only schedules that may have
// something to say are read, however many there are.

#include <algorithm>

#include "common/base/hash.h"
#include "coordinator/retraining/controller.h"

namespace attune::retraining {
namespace {

constexpr int kDueMax = 1000;    // in one tick
constexpr int kStatesMax = 100;  // in one tick: of more, each is looked at every few seconds

std::string CronOf(const std::string& schedule) {
  return "cron of " + schedule;
}
std::string TriggersOf(const std::string& schedule) {
  return "triggers of " + schedule;
}

}  // namespace

void Controller::LookAtSchedules() {
  std::vector<ScheduleRecord> due, others;
  const TimePoint now = ports_.clock->Now();
  Note("schedules", ports_.database->Read([&](Transaction& transaction) {
    due = LoadDueSchedules(transaction, now, kDueMax);
    others = LoadStateSchedules(transaction, looked_at_, kStatesMax);
    // From the first one again after the last.
    if (others.empty()) others = LoadStateSchedules(transaction, "", kStatesMax);
    return Status();
  }));
  for (const ScheduleRecord& schedule : due) {
    if (stopping() || crashed_) return;
    Note(CronOf(NameOf(schedule)), LookAtCron(schedule));
  }
  for (const ScheduleRecord& schedule : others) {
    if (stopping() || crashed_) return;
    Note(TriggersOf(NameOf(schedule)), LookAtState(schedule));
  }
  looked_at_ = others.empty() ? "" : NameOf(others.back());
}

std::string Controller::ProblemOf(const std::string& schedule) const {
  MutexLock lock(&noted_mutex_);
  for (const std::string& subject : {CronOf(schedule), TriggersOf(schedule)}) {
    if (auto found = noted_.find(subject); found != noted_.end()) return found->second;
  }
  return "";
}

void Controller::ForgetProblems(const std::string& schedule) {
  Note(CronOf(schedule), Status());
  Note(TriggersOf(schedule), Status());
}

// It is saved with when it is due next, fired or not.
Status Controller::LookAtCron(const ScheduleRecord& schedule) {
  const v1::ScheduleSpec& spec = schedule.schedule.spec();
  const TimePoint now = ports_.clock->Now();
  CronDecision decision;
  decision.looked = std::min(schedule.looked, now);
  if (!spec.trigger().cron().empty() && !schedule.schedule.paused()) {
    ATTUNE_ASSIGN_OR_RETURN(Cron cron,
                            Cron::Parse(spec.trigger().cron(), spec.trigger().timezone()));
    decision = DecideCron(spec, cron, schedule.looked, now);
  }
  return Fire(schedule, decision);
}

Status Controller::Fire(const ScheduleRecord& schedule, const CronDecision& decision) {
  const std::string& name = NameOf(schedule);
  Status status = ports_.database->Write([&](Transaction& transaction) -> Status {
    auto current = FindSchedule(transaction, name);
    if (!current || current->schedule.paused() != schedule.schedule.paused() ||
        current->looked != schedule.looked) {
      return Status();  // changed meanwhile: the next look decides
    }
    current->looked = decision.looked;
    SaveSchedule(transaction, *current);
    if (decision.looked < schedule.looked) {
      transaction.AppendEvent("schedule", name, "clock_set_back",
                              "slots were seen to up to " + FormatUtc(schedule.looked) +
                                  ": those from now on that have not fired are to come",
                              "");
    }
    if (decision.passed > 0) {
      transaction.AppendEvent("schedule", name, "passed",
                              std::to_string(decision.passed) +
                                  " slots of cron passed by; limits.catch_up: " +
                                  current->schedule.spec().limits().catch_up(),
                              "");
    }
    if (!decision.fire) return Status();
    UpdateRecord record;
    record.update.set_id(NewId("update"));
    // The clock may have been set back.
    if (!TakeSlot(transaction, name, *decision.fire, record.update.id())) return Status();
    record.spec = current->schedule.spec();
    record.update.set_schedule(name);
    record.update.set_state(v1::Update::WAITING);
    record.update.set_trigger("cron");
    record.update.set_trigger_detail("slot " + FormatUtc(*decision.fire));
    jobs::SetTimestamp(record.update.mutable_created(), ports_.clock->Now());
    InsertUpdate(transaction, &record);
    transaction.AppendEvent("update", record.update.id(), "triggered",
                            "cron: " + record.update.trigger_detail(), "");
    return Status();
  });
  AfterCommit(status);
  return status;
}

Status Controller::LookAtState(const ScheduleRecord& schedule) {
  const v1::ScheduleSpec& spec = schedule.schedule.spec();
  bool active = false;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    active = FindActiveUpdate(transaction, spec.name()).has_value();
    return Status();
  }));
  if (active) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const std::string state, StateOf(schedule));
  if (std::string& before = asked_nothing_[spec.name()]; !state.empty() && before == state) {
    return Status();
  }
  ATTUNE_ASSIGN_OR_RETURN(TriggerFacts facts, CollectTriggerFacts(spec));
  auto trigger = DecideTriggers(spec.trigger(), facts);
  if (!trigger) {
    asked_nothing_[spec.name()] = state;
    return Status();
  }
  // What was decided on, and not what came since: that may ask again.
  v1::Seen seen;
  if (facts.stream) {
    seen = SeenOf(*facts.stream);
    for (const v1::Window& window : facts.windows) {
      seen.set_window(std::max<uint64_t>(seen.window(), window.number()));
    }
  } else {
    ATTUNE_ASSIGN_OR_RETURN(seen, LookAround(spec));
  }
  return Begin(schedule, *trigger, seen);
}

Status Controller::Begin(const ScheduleRecord& schedule, const struct Trigger& trigger,
                         const v1::Seen& seen) {
  const std::string& name = NameOf(schedule);
  Status status = ports_.database->Write([&](Transaction& transaction) -> Status {
    auto current = FindSchedule(transaction, name);
    if (!current || current->schedule.paused()) return Status();
    if (FindActiveUpdate(transaction, name)) return Status();
    UpdateRecord record;
    record.spec = current->schedule.spec();
    record.update.set_schedule(name);
    record.update.set_state(v1::Update::WAITING);
    record.update.set_trigger(trigger.kind);
    record.update.set_trigger_detail(trigger.detail);
    *record.update.mutable_seen() = seen;
    jobs::SetTimestamp(record.update.mutable_created(), ports_.clock->Now());
    InsertUpdate(transaction, &record);
    transaction.AppendEvent("update", record.update.id(), "triggered",
                            trigger.kind + ": " + trigger.detail, "");
    return Status();
  });
  AfterCommit(status);
  return status;
}

// What decides whether a stream asks, in short: windows are read only when this is another than
// when they asked for nothing. Empty without a stream, where little is to be read.
Result<std::string> Controller::StateOf(const ScheduleRecord& schedule) {
  const std::string& stream = schedule.schedule.spec().data().observe();
  if (stream.empty() || ports_.live == nullptr) return std::string();
  ATTUNE_ASSIGN_OR_RETURN(const int64_t revision, ports_.live->Revision(stream));
  int64_t update = 0, changes = 0;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    auto last = LoadUpdates(transaction, NameOf(schedule), 0, 1);
    if (!last.empty()) {
      update = last[0].number;
      changes = last[0].revision;
    }
    return Status();
  }));
  return std::to_string(ToMicros(jobs::GetTimestamp(schedule.schedule.changed()))) + "/" +
         std::to_string(revision) + "/" + std::to_string(update) + "/" + std::to_string(changes);
}

Result<TriggerFacts> Controller::CollectTriggerFacts(const v1::ScheduleSpec& spec) {
  TriggerFacts facts;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    auto last = LoadUpdates(transaction, spec.name(), 0, 1);
    if (!last.empty()) facts.seen = last[0].update.seen();
    return Status();
  }));
  if (spec.data().observe().empty()) {
    ATTUNE_ASSIGN_OR_RETURN(facts.new_examples, NewExamples(spec, facts.seen));
    return facts;
  }
  if (ports_.live == nullptr) return FailedPrecondition("this coordinator has no streams");
  ATTUNE_ASSIGN_OR_RETURN(facts.stream, ports_.live->Get(spec.data().observe()));
  const uint64_t after = IsOfStream(facts.seen, *facts.stream) ? facts.seen.window() : 0;
  ATTUNE_ASSIGN_OR_RETURN(facts.windows, WindowsAfter(spec.data().observe(), after));
  return facts;
}

v1::Seen SeenOf(const v1::Stream& stream) {
  v1::Seen seen;
  seen.set_stream(stream.spec().name());
  *seen.mutable_stream_created() = stream.created();
  seen.set_window(stream.windows());
  if (stream.has_alarm_since()) *seen.mutable_alarm_since() = stream.alarm_since();
  return seen;
}

// What an update that begins now has before it.
Result<v1::Seen> Controller::LookAround(const v1::ScheduleSpec& spec) {
  v1::Seen seen;
  if (spec.data().observe().empty()) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion newest,
                            ports_.datasets->Get(spec.job().datasets(0).name()));
    seen.set_dataset(newest.name() + "@" + std::to_string(newest.version()));
    return seen;
  }
  if (ports_.live == nullptr) return FailedPrecondition("this coordinator has no streams");
  ATTUNE_ASSIGN_OR_RETURN(v1::Stream stream, ports_.live->Get(spec.data().observe()));
  return SeenOf(stream);
}

// What the newest version of the job's data set has more than the one that was seen.
Result<uint64_t> Controller::NewExamples(const v1::ScheduleSpec& spec, const v1::Seen& seen) {
  auto count = [](const v1::DatasetVersion& version) {
    uint64_t examples = 0;
    for (const auto& [split, number] : version.examples()) {
      if (split != "unlabelled") examples += number;
    }
    return examples;
  };
  if (spec.trigger().new_examples() == 0) return uint64_t{0};
  ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion newest,
                          ports_.datasets->Get(spec.job().datasets(0).name()));
  if (seen.dataset().empty()) return count(newest);
  ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion before, ports_.datasets->Get(seen.dataset()));
  return count(newest) > count(before) ? count(newest) - count(before) : 0;
}

}  // namespace attune::retraining
