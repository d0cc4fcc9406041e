#include "coordinator/retraining/controller.h"

#include <algorithm>

#include "common/base/hash.h"
#include "common/log/log.h"
#include "coordinator/retraining/requests_of.h"

namespace attune::retraining {
namespace {

constexpr int kSchedulesMax = 1000;
constexpr int kStepsInRow = 20;

}  // namespace

std::vector<Cron> BlackoutsOf(const v1::ScheduleSpec& spec) {
  std::vector<Cron> blackouts;
  for (const v1::Blackout& blackout : spec.limits().blackouts()) {
    auto cron = Cron::Parse(blackout.cron(), spec.trigger().timezone());
    if (cron.ok()) blackouts.push_back(std::move(*cron));
  }
  return blackouts;
}

LimitFacts LimitFactsOf(Transaction& transaction, const std::string& schedule, int64_t number,
                        TimePoint now) {
  LimitFacts facts;
  uint64_t before = 0;
  for (const UpdateRecord& other : LoadOpenUpdates(transaction)) {
    const v1::Update& update = other.update;
    if (update.schedule() != schedule || other.number >= number || !IsActive(update.state())) {
      continue;
    }
    if (++before == 1) facts.running = update.id() + " is " + StateName(update.state());
  }
  facts.waiting = before > 1 ? before - 1 : 0;
  if (auto last = LastEnd(transaction, schedule)) {
    facts.last = last->first;
    facts.last_end = last->second;
  }
  facts.gpu_hours = GpuHours(transaction, schedule, now - kWeek);
  return facts;
}

Controller::~Controller() {
  Shutdown();
}

void Controller::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Controller::Shutdown() {
  {
    MutexLock lock(&wake_mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

bool Controller::stopping() {
  MutexLock lock(&wake_mutex_);
  return stopping_;
}

void Controller::Run() {
  while (!stopping()) {
    Tick();
    MutexLock lock(&wake_mutex_);
    const auto deadline = std::chrono::steady_clock::now() + kTickInterval;
    while (!stopping_ && wake_.WaitUntil(&wake_mutex_, deadline)) {
    }
  }
}

void Controller::Tick() {
  std::vector<ScheduleRecord> schedules;
  std::vector<UpdateRecord> updates;
  Status read = ports_.database->Read([&](Transaction& transaction) {
    schedules = LoadSchedules(transaction, "", kSchedulesMax);
    updates = LoadOpenUpdates(transaction);
    return Status();
  });
  Note("", read);
  for (UpdateRecord& update : updates) {
    for (int i = 0; i < kStepsInRow && !stopping() && !crashed_; ++i) {
      auto further = Advance(&update);
      Note(update.update.id(), further.status());
      if (!further.ok() || !*further) break;
    }
  }
  for (const ScheduleRecord& schedule : schedules) {
    if (stopping() || crashed_) return;
    if (schedule.schedule.paused()) continue;
    const std::string& name = schedule.schedule.spec().name();
    Note(name, LookAt(schedule).WithContext("schedule " + name));
  }
}

void AddJob(v1::Update* update, const std::string& job) {
  const auto& known = update->job_ids();
  if (std::find(known.begin(), known.end(), job) == known.end()) update->add_job_ids(job);
}

// Of all the jobs it ever had, as far as they have ended.
Result<double> Controller::HoursOfJobs(const UpdateRecord& record) {
  double hours = 0;
  for (const std::string& id : record.update.job_ids()) {
    auto job = ports_.jobs->Get(id);
    if (!job.ok() && job.status().code() == StatusCode::kNotFound) continue;
    if (!job.ok()) return job.status();
    hours += HoursOf(*job);
  }
  return hours;
}

// A problem is logged when it is new or another one.
void Controller::Note(const std::string& subject, const Status& status) {
  if (status.ok()) {
    noted_.erase(subject);
  } else if (std::string& noted = noted_[subject]; noted != status.message()) {
    noted = status.message();
    spdlog::warn("retraining {}: {}", subject, status.message());
  }
}

Status Controller::LookAt(const ScheduleRecord& schedule) {
  const v1::ScheduleSpec& spec = schedule.schedule.spec();
  if (!spec.trigger().cron().empty()) {
    ATTUNE_ASSIGN_OR_RETURN(Cron cron,
                            Cron::Parse(spec.trigger().cron(), spec.trigger().timezone()));
    CronDecision decision = DecideCron(spec, cron, schedule.looked, ports_.clock->Now());
    if (decision.looked != schedule.looked) return Fire(schedule, decision);
  }
  ATTUNE_ASSIGN_OR_RETURN(TriggerFacts facts, CollectTriggerFacts(spec));
  auto trigger = DecideTriggers(spec.trigger(), facts);
  if (!trigger) return Status();
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
  Status status = ports_.database->Write([&](Transaction& transaction) -> Status {
    auto current = FindSchedule(transaction, spec.name());
    if (!current || current->schedule.paused()) return Status();
    for (const UpdateRecord& other : LoadOpenUpdates(transaction)) {
      if (other.update.schedule() == spec.name() && IsActive(other.update.state())) return Status();
    }
    UpdateRecord record;
    record.spec = current->schedule.spec();
    record.update.set_schedule(spec.name());
    record.update.set_state(v1::Update::WAITING);
    record.update.set_trigger(trigger->kind);
    record.update.set_trigger_detail(trigger->detail);
    *record.update.mutable_seen() = seen;
    jobs::SetTimestamp(record.update.mutable_created(), ports_.clock->Now());
    InsertUpdate(transaction, &record);
    transaction.AppendEvent("update", record.update.id(), "triggered",
                            trigger->kind + ": " + trigger->detail, "");
    return Status();
  });
  if (status.ok() && ports_.after_commit && !ports_.after_commit()) crashed_ = true;
  return status;
}

Status Controller::Fire(const ScheduleRecord& schedule, const CronDecision& decision) {
  const std::string& name = schedule.schedule.spec().name();
  Status status = ports_.database->Write([&](Transaction& transaction) -> Status {
    auto current = FindSchedule(transaction, name);
    if (!current || current->schedule.paused() || current->looked != schedule.looked) {
      return Status();  // changed meanwhile: the next look decides
    }
    current->looked = decision.looked;
    SaveSchedule(transaction, *current);
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
  if (status.ok() && ports_.after_commit && !ports_.after_commit()) crashed_ = true;
  return status;
}

Result<TriggerFacts> Controller::CollectTriggerFacts(const v1::ScheduleSpec& spec) {
  const v1::TriggerSpec& trigger = spec.trigger();
  TriggerFacts facts;
  if (!trigger.drift() && trigger.new_examples() == 0 &&
      !(trigger.quality().live_loss_increase() > 0)) {
    return facts;
  }
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

Status Controller::Commit(UpdateRecord* record, const std::string& event,
                          const std::string& message,
                          const std::function<void(UpdateRecord*)>& change,
                          const std::function<Status(Transaction&)>& also) {
  UpdateRecord changed = *record;
  if (event != "problem") changed.update.clear_trouble_since();
  change(&changed);
  ATTUNE_RETURN_IF_ERROR(ports_.database->Write([&](Transaction& transaction) -> Status {
    if (!SaveUpdate(transaction, &changed)) {
      return Unavailable("update " + changed.update.id() + " was changed meanwhile");
    }
    if (also) ATTUNE_RETURN_IF_ERROR(also(transaction));
    transaction.AppendEvent("update", changed.update.id(), event, message, "");
    return Status();
  }));
  spdlog::info("update={} event={} state={} {}", changed.update.id(), event,
               StateName(changed.update.state()), message);
  *record = std::move(changed);
  if (ports_.after_commit && !ports_.after_commit()) {
    crashed_ = true;
    return Cancelled("ended by a test");
  }
  return Status();
}

Status Controller::Finish(UpdateRecord* record, v1::Update::State state,
                          const std::string& reason) {
  std::string event = StateName(state);
  std::transform(event.begin(), event.end(), event.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return Commit(record, event, reason, [&](UpdateRecord* changed) {
    changed->update.set_state(state);
    changed->update.set_reason(reason);
    jobs::SetTimestamp(changed->update.mutable_ended(), ports_.clock->Now());
    changed->cancel_jobs = state == v1::Update::FAILED || !changed->watch_candidate_job.empty();
  });
}

}  // namespace attune::retraining
