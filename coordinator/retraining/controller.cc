#include "coordinator/retraining/controller.h"

#include <algorithm>

#include "common/base/hash.h"
#include "common/log/log.h"
#include "coordinator/retraining/requests_of.h"

namespace attune::retraining {
namespace {

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

LimitFacts LimitFactsOf(Transaction& transaction, const v1::ScheduleSpec& schedule, int64_t number,
                        TimePoint now) {
  LimitFacts facts;
  uint64_t before = 0;
  for (const UpdateRecord& other : LoadOpenUpdates(transaction, schedule.name())) {
    const v1::Update& update = other.update;
    if (other.number >= number || !IsActive(update.state())) continue;
    if (++before == 1) facts.running = update.id() + " is " + StateName(update.state());
  }
  facts.waiting = before > 1 ? before - 1 : 0;
  const auto cool_down = std::chrono::duration<double>(schedule.limits().cool_down_seconds());
  if (auto last = LastEnd(transaction, schedule.name(),
                          now + std::chrono::duration_cast<Duration>(cool_down))) {
    facts.last = last->first;
    facts.last_end = last->second;
  }
  facts.gpu_hours = GpuHours(transaction, schedule.name(), now - kWeek);
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
  std::vector<UpdateRecord> updates;
  Note("", ports_.database->Read([&](Transaction& transaction) {
    updates = LoadOpenUpdates(transaction);
    return Status();
  }));
  for (UpdateRecord& update : updates) {
    for (int i = 0; i < kStepsInRow && !stopping() && !crashed_; ++i) {
      auto further = Advance(&update);
      Note(update.update.id(), further.status());
      if (!further.ok() || !*further) break;
    }
  }
  LookAtSchedules();
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
  MutexLock lock(&noted_mutex_);
  if (status.ok()) {
    noted_.erase(subject);
  } else if (std::string& noted = noted_[subject]; noted != status.message()) {
    noted = status.message();
    spdlog::warn("retraining {}: {}", subject, status.message());
  }
}

void Controller::AfterCommit(const Status& status) {
  if (status.ok() && ports_.after_commit && !ports_.after_commit()) crashed_ = true;
}

Status Controller::Commit(UpdateRecord* record, const std::string& event,
                          const std::string& message,
                          const std::function<void(UpdateRecord*)>& change,
                          const std::function<Status(Transaction&)>& also) {
  UpdateRecord changed = *record;
  if (event != "problem") changed.update.clear_trouble_since();
  change(&changed);
  if (IsFinal(changed.update.state()) && !IsFinal(record->update.state())) {
    changed.cancel_jobs = changed.update.job_ids_size() > 0;
  }
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
  AfterCommit(Status());
  return crashed_ ? Cancelled("ended by a test") : Status();
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
  });
}

}  // namespace attune::retraining
