// What users ask: schedules that are applied, paused, triggered; updates that are looked at.

#include "coordinator/store/requests.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "common/base/files.h"
#include "common/gates/check.h"
#include "common/spec/schedule_spec.h"
#include "coordinator/jobs/evaluation_checks.h"
#include "coordinator/retraining/controller.h"
#include "coordinator/retraining/requests_of.h"
#include "coordinator/store/events.h"

namespace attune::retraining {
namespace {

constexpr uint32_t kPageDefault = 50;
constexpr uint32_t kPageMax = 200;
constexpr uint32_t kFiringsMax = 100;
constexpr int kEventsMax = 1000;
constexpr int kSlotsOfJitter = 400;  // that are compared
constexpr size_t kSourceBytesMax = 1 << 20;

Status NoSchedule(const std::string& name) {
  return NotFound("there is no schedule '" + name + "': `attune schedule list` shows all");
}

uint32_t PageSize(uint32_t asked) {
  return asked == 0 ? kPageDefault : std::min(asked, kPageMax);
}

// A slot that is put off until the next one is due would be dropped for it.
Status CheckJitter(const v1::ScheduleSpec& spec, TimePoint now) {
  const double jitter = spec.trigger().jitter_seconds();
  if (!(jitter > 0) || spec.trigger().cron().empty()) return Status();
  ATTUNE_ASSIGN_OR_RETURN(Cron cron, Cron::Parse(spec.trigger().cron(), spec.trigger().timezone()));
  auto slot = cron.Next(now);
  for (int i = 0; i < kSlotsOfJitter && slot.ok(); ++i) {
    auto next = cron.Next(*slot);
    if (!next.ok()) break;
    const double seconds = std::chrono::duration<double>(*next - *slot).count();
    if (jitter >= seconds) {
      return InvalidArgument("trigger.jitter: " + std::to_string(std::llround(jitter)) +
                             " s, but two slots of cron are only " +
                             std::to_string(std::llround(seconds)) +
                             " s apart, and slots would be dropped: make it shorter than that")
          .WithField("trigger.jitter");
    }
    slot = next;
  }
  return Status();
}

// What common/spec cannot check.
Status CheckCron(const v1::ScheduleSpec& spec) {
  const std::string& zone = spec.trigger().timezone();
  auto check = [&](const std::string& expression, const std::string& field) -> Status {
    auto cron = Cron::Parse(expression, zone);
    if (cron.ok()) return Status();
    bool bad_zone = !Cron::Parse("0 0 * * *", zone).ok();
    std::string where = bad_zone ? "trigger.timezone" : field;
    return InvalidArgument(where + ": " + cron.status().message()).WithField(where);
  };
  ATTUNE_RETURN_IF_ERROR(
      check(spec.trigger().cron().empty() ? "0 0 * * *" : spec.trigger().cron(), "trigger.cron"));
  for (int i = 0; i < spec.limits().blackouts_size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(check(spec.limits().blackouts(i).cron(),
                                 "limits.blackouts[" + std::to_string(i) + "].cron"));
  }
  return Status();
}

// Where a schedule says what an evaluation's field asks.
std::string FieldOfGates(const std::string& field) {
  constexpr std::string_view kSuites = "suites[";
  int suite = 0;
  if (!field.starts_with(kSuites)) return "gates." + field;
  const char* end = field.data() + field.size();
  auto [rest, error] = std::from_chars(field.data() + kSuites.size(), end, suite);
  if (error != std::errc()) return "gates";
  if (suite == 0) return "gates.goals";
  const std::string metric = "].metrics[0]";
  std::string tail(rest, end);
  tail = tail.starts_with(metric) ? ".metric" + tail.substr(metric.size()) : tail.substr(1);
  return "gates.retention[" + std::to_string(suite - 1) + "]" + tail;
}

// The evaluation that will be asked for, before a candidate is trained for it.
Status CheckEvaluation(const v1::ScheduleSpec& spec) {
  UpdateRecord record;
  record.spec = spec;
  v1::EvaluateRequest request = EvaluationOf(record, "goal@1");
  request.set_model("candidate@1");
  Status status = jobs::CheckEvaluate(request);
  if (status.ok()) return status;
  const std::string field = FieldOfGates(status.field());
  return InvalidArgument(field + ": " + status.message()).WithField(field);
}

Status CheckApply(const v1::ApplyScheduleRequest& request, TimePoint now) {
  ATTUNE_RETURN_IF_ERROR(spec::ValidateScheduleSpec(request.spec()));
  ATTUNE_RETURN_IF_ERROR(CheckCron(request.spec()));
  ATTUNE_RETURN_IF_ERROR(CheckJitter(request.spec(), now));
  ATTUNE_RETURN_IF_ERROR(gates::CheckSpec(request.spec().gates()));
  ATTUNE_RETURN_IF_ERROR(CheckEvaluation(request.spec()));
  // Its data sets are called NAME-data and NAME-goal.
  if (!IsValidName(request.spec().name() + "-data")) {
    return InvalidArgument("name must have at most 58 characters").WithField("name");
  }
  if (request.source().size() > kSourceBytesMax) {
    return InvalidArgument("the spec's text is larger than 1 MiB").WithField("source");
  }
  return Status();
}

}  // namespace

v1::Schedule View(Transaction& transaction, const ScheduleRecord& record, TimePoint now) {
  v1::Schedule view = record.schedule;
  const std::string& name = view.spec().name();
  if (auto cron = Cron::Parse(view.spec().trigger().cron(), view.spec().trigger().timezone());
      cron.ok() && !view.paused()) {
    CronDecision decision = DecideCron(view.spec(), *cron, record.looked, now);
    auto next = decision.fire ? decision.fire : decision.next;
    if (next) {
      jobs::SetTimestamp(view.mutable_next(),
                         *next + Jitter(name, *next, view.spec().trigger().jitter_seconds()));
    }
  }
  auto updates = LoadUpdates(transaction, name, 0, 1);
  view.set_updates(CountUpdates(transaction, name));
  view.set_gpu_hours_this_week(HoursThisWeek(GpuHours(transaction, name, now - kWeek), now));
  view.set_state("idle");
  if (!updates.empty()) {
    const v1::Update& last = updates.front().update;
    view.set_last_update(last.id());
    view.set_reason(last.id() + " " + StateName(last.state()) +
                    (last.reason().empty() ? "" : ": " + last.reason()));
    if (last.state() == v1::Update::WATCHING) view.set_state("watching");
  }
  if (auto active = FindActiveUpdate(transaction, name)) {
    const v1::Update& update = active->update;
    view.set_state(update.state() == v1::Update::WAITING ? "waiting" : "updating");
    view.set_reason(update.id() + " " + StateName(update.state()) +
                    (update.reason().empty() ? "" : ": " + update.reason()));
  } else if (view.paused()) {
    view.set_state("paused");
    view.set_reason(view.pause_reason());
  }
  return view;
}

v1::Schedule Controller::Show(Transaction& transaction, const ScheduleRecord& record) {
  v1::Schedule view = View(transaction, record, ports_.clock->Now());
  const std::string problem =
      view.state() == "idle" || view.state() == "watching" ? ProblemOf(NameOf(record)) : "";
  if (!problem.empty()) view.set_reason("its triggers cannot be looked at: " + problem);
  return view;
}

// A name that is mistyped is found now and not in a week.
Status Controller::CheckReferences(const v1::ScheduleSpec& spec) {
  auto at = [](const Status& status, const std::string& field) {
    return Status(status.code(), field + ": " + status.message()).WithField(field);
  };
  if (auto base = ports_.models->Get(spec.job().base()); !base.ok()) {
    return at(base.status(), "job.base");
  }
  for (const v1::DatasetRef& dataset : spec.job().datasets()) {
    auto found = ports_.datasets->Get(dataset.name());
    if (!found.ok()) return at(found.status(), "job.dataset");
  }
  for (int i = 0; i < spec.data().replay_size(); ++i) {
    auto found = ports_.datasets->Get(spec.data().replay(i).dataset());
    if (!found.ok()) return at(found.status(), "data.replay[" + std::to_string(i) + "].dataset");
  }
  for (int i = 0; i < spec.gates().retention_size(); ++i) {
    if (spec.gates().retention(i).dataset() == spec::kChampionData) continue;
    auto found = ports_.datasets->Get(spec.gates().retention(i).dataset());
    if (!found.ok()) {
      return at(found.status(), "gates.retention[" + std::to_string(i) + "].dataset");
    }
  }
  if (spec.data().observe().empty()) return Status();
  if (ports_.live == nullptr) return FailedPrecondition("this coordinator has no streams");
  auto stream = ports_.live->Get(spec.data().observe());
  return stream.ok() ? Status() : at(stream.status(), "data.observe");
}

Result<v1::Schedule> Controller::Apply(const v1::ApplyScheduleRequest& request) {
  std::optional<v1::Schedule> earlier;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(earlier,
                            FindAnswer<v1::Schedule>(transaction, "ApplySchedule", request));
    return Status();
  }));
  if (earlier) return std::move(*earlier);
  ATTUNE_RETURN_IF_ERROR(CheckApply(request, ports_.clock->Now()));
  ATTUNE_RETURN_IF_ERROR(CheckReferences(request.spec()));
  if (request.dry_run()) {
    v1::Schedule asked;
    *asked.mutable_spec() = request.spec();
    return asked;
  }
  const std::string& name = request.spec().name();
  const TimePoint now = ports_.clock->Now();
  auto applied = Once<v1::Schedule>(
      ports_.database, "ApplySchedule", request,
      [&](Transaction& transaction) -> Result<v1::Schedule> {
        auto known = FindSchedule(transaction, name);
        ScheduleRecord record = known.value_or(ScheduleRecord{});
        const v1::TriggerSpec& trigger = request.spec().trigger();
        const v1::TriggerSpec& before = record.schedule.spec().trigger();
        // Slots of another expression that are past are not slots that were missed.
        if (!known || before.cron() != trigger.cron() || before.timezone() != trigger.timezone()) {
          record.looked = now;
        }
        *record.schedule.mutable_spec() = request.spec();
        record.schedule.set_source(request.source());
        if (!known) jobs::SetTimestamp(record.schedule.mutable_created(), now);
        jobs::SetTimestamp(record.schedule.mutable_changed(), now);
        SaveSchedule(transaction, record);
        transaction.AppendEvent("schedule", name, known ? "changed" : "created", "",
                                record.schedule.SerializeAsString());
        return View(transaction, record, now);
      });
  if (applied.ok()) ForgetProblems(name);
  return applied;
}

Result<v1::Schedule> Controller::Get(const v1::GetScheduleRequest& request) {
  v1::Schedule schedule;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    auto record = FindSchedule(transaction, request.name());
    if (!record) return NoSchedule(request.name());
    schedule = Show(transaction, *record);
    return Status();
  }));
  return schedule;
}

Result<v1::ListSchedulesResponse> Controller::List(const v1::ListSchedulesRequest& request) {
  v1::ListSchedulesResponse response;
  const int size = static_cast<int>(PageSize(request.page_size()));
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    auto records = LoadSchedules(transaction, request.page_token(), size + 1);
    for (const ScheduleRecord& record : records) {
      if (response.schedules_size() == size) {
        response.set_next_page_token(response.schedules(size - 1).spec().name());
        break;
      }
      *response.add_schedules() = Show(transaction, record);
    }
    return Status();
  }));
  return response;
}

Result<v1::DeleteScheduleResponse> Controller::Delete(const v1::DeleteScheduleRequest& request) {
  auto deleted = Once<v1::DeleteScheduleResponse>(
      ports_.database, "DeleteSchedule", request,
      [&](Transaction& transaction) -> Result<v1::DeleteScheduleResponse> {
        const std::string& name = request.name();
        if (!FindSchedule(transaction, name)) return NoSchedule(name);
        if (auto active = FindActiveUpdate(transaction, name)) {
          return FailedPrecondition(active->update.id() + " of schedule " + name + " is " +
                                    StateName(active->update.state()) +
                                    ": wait for its end, or `attune schedule cancel " +
                                    active->update.id() + "`");
        }
        for (UpdateRecord& record : LoadOpenUpdates(transaction, name)) {
          if (IsFinal(record.update.state())) continue;
          record.update.set_state(v1::Update::PROMOTED);
          record.update.set_reason("promoted; the schedule was deleted while it was watched");
          jobs::SetTimestamp(record.update.mutable_ended(), ports_.clock->Now());
          record.cancel_jobs = true;
          ATTUNE_CHECK(SaveUpdate(transaction, &record));
          transaction.AppendEvent("update", record.update.id(), "promoted", record.update.reason(),
                                  "");
        }
        RemoveSchedule(transaction, name);
        transaction.AppendEvent("schedule", name, "deleted", "", "");
        return v1::DeleteScheduleResponse();
      });
  if (deleted.ok()) ForgetProblems(request.name());
  return deleted;
}

Result<v1::Schedule> Controller::Pause(const v1::PauseScheduleRequest& request) {
  return Once<v1::Schedule>(ports_.database, "PauseSchedule", request,
                            [&](Transaction& transaction) -> Result<v1::Schedule> {
                              auto record = FindSchedule(transaction, request.name());
                              if (!record) return NoSchedule(request.name());
                              record->schedule.set_paused(true);
                              record->schedule.set_pause_reason(request.reason().empty()
                                                                    ? "paused by a person"
                                                                    : request.reason());
                              SaveSchedule(transaction, *record);
                              transaction.AppendEvent("schedule", request.name(), "paused",
                                                      record->schedule.pause_reason(), "");
                              return View(transaction, *record, ports_.clock->Now());
                            });
}

// Slots that passed meanwhile do not fire.
Result<v1::Schedule> Controller::Resume(const v1::ResumeScheduleRequest& request) {
  return Once<v1::Schedule>(ports_.database, "ResumeSchedule", request,
                            [&](Transaction& transaction) -> Result<v1::Schedule> {
                              auto record = FindSchedule(transaction, request.name());
                              if (!record) return NoSchedule(request.name());
                              if (record->schedule.paused()) record->looked = ports_.clock->Now();
                              record->schedule.set_paused(false);
                              record->schedule.clear_pause_reason();
                              SaveSchedule(transaction, *record);
                              transaction.AppendEvent("schedule", request.name(), "resumed", "",
                                                      "");
                              return View(transaction, *record, ports_.clock->Now());
                            });
}

Result<v1::Update> Controller::Trigger(const v1::TriggerScheduleRequest& request) {
  return Once<v1::Update>(
      ports_.database, "TriggerSchedule", request,
      [&](Transaction& transaction) -> Result<v1::Update> {
        auto schedule = FindSchedule(transaction, request.name());
        if (!schedule) return NoSchedule(request.name());
        auto active = FindActiveUpdate(transaction, request.name());
        if (active && schedule->schedule.spec().limits().overlap() != "queue") {
          return FailedPrecondition(active->update.id() + " of this schedule is " +
                                    StateName(active->update.state()) +
                                    ": wait for its end, cancel it, or set limits.overlap: queue");
        }
        UpdateRecord record;
        record.spec = schedule->schedule.spec();
        record.update.set_schedule(request.name());
        record.update.set_state(v1::Update::WAITING);
        record.update.set_trigger("manual");
        record.update.set_trigger_detail(request.reason().empty() ? "asked for by a person"
                                                                  : request.reason());
        jobs::SetTimestamp(record.update.mutable_created(), ports_.clock->Now());
        InsertUpdate(transaction, &record);
        transaction.AppendEvent("update", record.update.id(), "triggered",
                                "manual: " + record.update.trigger_detail(), "");
        return record.update;
      });
}

Result<v1::ListUpdatesResponse> Controller::ListUpdates(const v1::ListUpdatesRequest& request) {
  int64_t before = 0;
  const std::string& token = request.page_token();
  auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), before);
  if (!token.empty() && (error != std::errc() || end != token.data() + token.size())) {
    return InvalidArgument("'" + token + "' is no page token").WithField("page_token");
  }
  v1::ListUpdatesResponse response;
  const int size = static_cast<int>(PageSize(request.page_size()));
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    if (!request.schedule().empty() && !FindSchedule(transaction, request.schedule()) &&
        LoadUpdates(transaction, request.schedule(), 0, 1).empty()) {
      return NoSchedule(request.schedule());
    }
    auto records = LoadUpdates(transaction, request.schedule(), before, size + 1);
    for (size_t i = 0; i < records.size() && i < static_cast<size_t>(size); ++i) {
      v1::Update* update = response.add_updates();
      *update = std::move(records[i].update);
      // The examples are GetUpdate's.
      for (v1::GateResult& gate : *update->mutable_report()->mutable_gates()) {
        gate.clear_deciding();
      }
      if (update->report().verdict() == v1::GateReport::VERDICT_UNSPECIFIED) update->clear_report();
    }
    if (records.size() > static_cast<size_t>(size)) {
      response.set_next_page_token(std::to_string(records[static_cast<size_t>(size) - 1].number));
    }
    return Status();
  }));
  return response;
}

Result<v1::Update> Controller::GetUpdate(const v1::GetUpdateRequest& request) {
  v1::Update update;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(UpdateRecord record, FindUpdate(transaction, request.id()));
    update = std::move(record.update);
    for (const Event& event : ReadEvents(transaction, "update", request.id(), 0, kEventsMax)) {
      v1::UpdateEvent* out = update.add_events();
      jobs::SetTimestamp(out->mutable_time(), event.time);
      out->set_type(event.type);
      out->set_message(event.message);
    }
    return Status();
  }));
  return update;
}

Result<v1::Update> Controller::CancelUpdate(const v1::CancelUpdateRequest& request) {
  return Once<v1::Update>(
      ports_.database, "CancelUpdate", request,
      [&](Transaction& transaction) -> Result<v1::Update> {
        ATTUNE_ASSIGN_OR_RETURN(UpdateRecord record, FindUpdate(transaction, request.id()));
        if (IsFinal(record.update.state())) {
          return FailedPrecondition(request.id() +
                                    " has ended: " + StateName(record.update.state()));
        }
        const bool promoted = record.update.state() == v1::Update::WATCHING;
        std::string reason = request.reason().empty() ? "cancelled by a person" : request.reason();
        record.update.set_state(promoted ? v1::Update::PROMOTED : v1::Update::CANCELLED);
        record.update.set_reason(promoted ? "promoted; the watch was cancelled: " + reason
                                          : reason);
        jobs::SetTimestamp(record.update.mutable_ended(), ports_.clock->Now());
        record.cancel_jobs = true;
        ATTUNE_CHECK(SaveUpdate(transaction, &record));
        transaction.AppendEvent("update", request.id(), "cancelled", reason, "");
        return record.update;
      });
}

Result<v1::NextFiringsResponse> Controller::NextFirings(const v1::NextFiringsRequest& request) {
  std::optional<ScheduleRecord> record;
  LimitFacts facts;
  const TimePoint now = ports_.clock->Now();
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    record = FindSchedule(transaction, request.name());
    if (!record) return NoSchedule(request.name());
    facts = LimitFactsOf(transaction, record->schedule.spec(), INT64_MAX, now);
    return Status();
  }));
  const v1::ScheduleSpec& spec = record->schedule.spec();
  v1::NextFiringsResponse response;
  if (spec.trigger().cron().empty()) return response;
  ATTUNE_ASSIGN_OR_RETURN(Cron cron, Cron::Parse(spec.trigger().cron(), spec.trigger().timezone()));
  const std::vector<Cron> blackouts = BlackoutsOf(spec);
  const uint32_t count = std::clamp(request.count(), 1u, kFiringsMax);
  auto slot = cron.Next(now);
  for (uint32_t i = 0; i < count && slot.ok(); ++i, slot = cron.Next(*slot)) {
    const TimePoint start = *slot + Jitter(spec.name(), *slot, spec.trigger().jitter_seconds());
    v1::Firing* firing = response.add_firings();
    jobs::SetTimestamp(firing->mutable_time(), start);
    firing->set_local(cron.Local(start));
    LimitFacts then = facts;
    then.running.reset();  // whether it still runs then is not known
    then.waiting = 0;
    std::string note = DecideStart(spec.limits(), blackouts, then, start).reason;
    if (i == 0 && facts.running && note.empty()) note = *facts.running + " now";
    if (record->schedule.paused()) note = "paused: " + record->schedule.pause_reason();
    firing->set_note(note);
  }
  return response;
}

}  // namespace attune::retraining
