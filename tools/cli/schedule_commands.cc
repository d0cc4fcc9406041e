#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>

#include "common/base/files.h"
#include "common/spec/json.h"
#include "common/spec/schedule_keys.h"
#include "common/spec/schedule_spec.h"
#include "common/yaml/document.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/schedule_view.h"

namespace attune::cli {
namespace {

constexpr std::chrono::milliseconds kLookInterval{500};

using Stub = v1::ScheduleService::Stub;

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

Result<std::string> ReadText(const std::filesystem::path& path) {
  auto text = ReadFile(path, yaml::kMaxBytes);
  if (!text.ok() && text.status().code() == StatusCode::kNotFound) {
    return NotFound("there is no file " + path.string());
  }
  return text;
}

void Show(Session& session, const v1::Schedule& schedule) {
  session.printer().Object(spec::ToJson(schedule), schedule.spec().name(),
                           ScheduleCard(schedule, View(session)));
}

void Show(Session& session, const v1::Update& update) {
  session.printer().Object(spec::ToJson(update), update.id(), UpdateCard(update, View(session)));
}

Result<v1::Update> GetUpdate(Client& client, const std::string& id) {
  v1::GetUpdateRequest request;
  request.set_id(id);
  return client.Call(client.schedules(), &Stub::GetUpdate, request);
}

// A candidate became the champion; or its gates passed, and the schedule leaves the rest to a
// person (promote.manual).
bool EndedWell(const v1::Update& update) {
  return update.state() == v1::Update::PROMOTED || update.state() == v1::Update::WATCHING ||
         (update.state() == v1::Update::KEPT &&
          update.report().verdict() == v1::GateReport::PASSED);
}

// Prints what happens to an update until it has ended, or is watched.
Result<int> Follow(Session& session, Client& client, const std::string& id) {
  CatchInterrupt catch_interrupt;
  int shown = 0;
  for (;;) {
    ATTUNE_ASSIGN_OR_RETURN(v1::Update update, GetUpdate(client, id));
    for (; shown < update.events_size(); ++shown) {
      const v1::UpdateEvent& event = update.events(shown);
      session.Say(FormatLocalTime(event.time()) + "  " + event.type() +
                  (event.message().empty() ? "" : ": " + event.message()));
    }
    if (IsFinal(update.state()) || update.state() == v1::Update::WATCHING) {
      Show(session, update);
      return EndedWell(update) ? kExitOk : kExitFailed;
    }
    // Not a wait for luck: the answer is looked at again until it is final or the user leaves.
    const auto until = std::chrono::steady_clock::now() + kLookInterval;
    while (std::chrono::steady_clock::now() < until) {
      if (session.io().interrupted()) {
        session.Say("detached; the update goes on\n  look again:  attune schedule update " + id +
                    "\n  stop it:     attune schedule cancel " + id);
        return kExitInterrupted;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

}  // namespace

Result<int> RunScheduleApply(Session& session, const Arguments& arguments) {
  std::string file = arguments.Get("FILE");
  v1::ApplyScheduleRequest request;
  std::string name = file == "-" ? "standard input" : file;
  if (file == "-") {
    request.set_source(std::string(std::istreambuf_iterator<char>(*session.io().in),
                                   std::istreambuf_iterator<char>()));
  } else {
    ATTUNE_ASSIGN_OR_RETURN(*request.mutable_source(), ReadText(file));
  }
  ATTUNE_ASSIGN_OR_RETURN(*request.mutable_spec(),
                          spec::ParseScheduleSpec(request.source(), name, ReadText));
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  request.set_request_id(NewId("req"));
  request.set_dry_run(arguments.Has("--dry-run"));
  auto schedule = client->Call(client->schedules(), &Stub::ApplySchedule, request);
  if (!schedule.ok()) return spec::ShowInText(schedule.status(), request.source(), name);
  if (const uint32_t steps = schedule->spec().job().train().max_steps(); steps > 0) {
    session.Say("note: train.max_steps of the job: each update trains at most " +
                std::to_string(steps) +
                " steps, however much data there is; without it, train.epochs over all of it");
  }
  if (request.dry_run()) {
    session.printer().Object(spec::ToJson(schedule->spec()), schedule->spec().name(),
                             spec::ToYaml(schedule->spec()));
  } else {
    Show(session, *schedule);
  }
  return kExitOk;
}

Result<int> RunScheduleList(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListSchedulesRequest request;
  size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<v1::Schedule> schedules;
  do {
    ATTUNE_ASSIGN_OR_RETURN(v1::ListSchedulesResponse page,
                            client->Call(client->schedules(), &Stub::ListSchedules, request));
    for (auto& schedule : *page.mutable_schedules()) {
      if (schedules.size() < limit) schedules.push_back(std::move(schedule));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && schedules.size() < limit);
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  for (const v1::Schedule& schedule : schedules) {
    items.push_back(spec::ToJson(schedule));
    names.push_back(schedule.spec().name());
  }
  session.printer().List(items, names, ScheduleTable(schedules, session.io().clock->Now()),
                         "no schedules yet; make one with `attune schedule apply FILE`");
  return kExitOk;
}

Result<int> RunScheduleShow(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::GetScheduleRequest request;
  request.set_name(arguments.Get("SCHEDULE"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Schedule schedule,
                          client->Call(client->schedules(), &Stub::GetSchedule, request));
  if (arguments.Has("--spec")) {
    session.printer().Object(spec::ToJson(schedule.spec()), schedule.spec().name(),
                             spec::ToYaml(schedule.spec()));
    return kExitOk;
  }
  Show(session, schedule);
  return kExitOk;
}

Result<int> RunSchedulePause(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::PauseScheduleRequest request;
  request.set_request_id(NewId("req"));
  request.set_name(arguments.Get("SCHEDULE"));
  request.set_reason(arguments.Get("--reason"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Schedule schedule,
                          client->Call(client->schedules(), &Stub::PauseSchedule, request));
  Show(session, schedule);
  return kExitOk;
}

Result<int> RunScheduleResume(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ResumeScheduleRequest request;
  request.set_request_id(NewId("req"));
  request.set_name(arguments.Get("SCHEDULE"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Schedule schedule,
                          client->Call(client->schedules(), &Stub::ResumeSchedule, request));
  Show(session, schedule);
  return kExitOk;
}

Result<int> RunScheduleTrigger(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::TriggerScheduleRequest request;
  request.set_request_id(NewId("req"));
  request.set_name(arguments.Get("SCHEDULE"));
  request.set_reason(arguments.Get("--reason"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Update update,
                          client->Call(client->schedules(), &Stub::TriggerSchedule, request));
  if (arguments.Has("--watch")) return Follow(session, *client, update.id());
  session.printer().Object(spec::ToJson(update), update.id(), update.id() + "\n");
  if (session.printer().human()) {
    session.Say("look at it with `attune schedule update " + update.id() + "`");
  }
  return kExitOk;
}

Result<int> RunScheduleHistory(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::ListUpdatesRequest request;
  request.set_schedule(arguments.Get("SCHEDULE"));
  size_t limit = static_cast<size_t>(arguments.Number("--limit"));
  std::vector<v1::Update> updates;
  do {
    ATTUNE_ASSIGN_OR_RETURN(v1::ListUpdatesResponse page,
                            client->Call(client->schedules(), &Stub::ListUpdates, request));
    for (auto& update : *page.mutable_updates()) {
      if (updates.size() < limit) updates.push_back(std::move(update));
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && updates.size() < limit);
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  for (const v1::Update& update : updates) {
    items.push_back(spec::ToJson(update));
    names.push_back(update.id());
  }
  session.printer().List(items, names, UpdateTable(updates, session.io().clock->Now()),
                         "no updates yet; `attune schedule next NAME` says when one is due");
  return kExitOk;
}

Result<int> RunScheduleUpdate(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  if (arguments.Has("--watch")) return Follow(session, *client, arguments.Get("UPDATE"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Update update, GetUpdate(*client, arguments.Get("UPDATE")));
  Show(session, update);
  return kExitOk;
}

Result<int> RunScheduleCancel(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::CancelUpdateRequest request;
  request.set_request_id(NewId("req"));
  request.set_id(arguments.Get("UPDATE"));
  request.set_reason(arguments.Get("--reason"));
  ATTUNE_ASSIGN_OR_RETURN(v1::Update update,
                          client->Call(client->schedules(), &Stub::CancelUpdate, request));
  Show(session, update);
  return kExitOk;
}

Result<int> RunScheduleNext(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::NextFiringsRequest request;
  request.set_name(arguments.Get("SCHEDULE"));
  request.set_count(static_cast<uint32_t>(arguments.Whole("--count")));
  ATTUNE_ASSIGN_OR_RETURN(v1::NextFiringsResponse response,
                          client->Call(client->schedules(), &Stub::NextFirings, request));
  Table table({{.header = "LOCAL"}, {.header = "UTC"}, {.header = "NOTE", .shrinks = true}});
  std::vector<nlohmann::ordered_json> items;
  std::vector<std::string> names;
  for (const v1::Firing& firing : response.firings()) {
    std::string utc = spec::FormatTimestamp(firing.time().seconds(), firing.time().nanos());
    items.push_back(spec::ToJson(firing));
    names.push_back(utc);
    table.Add({firing.local(), utc, firing.note()});
  }
  session.printer().List(items, names, table, "the schedule has no cron trigger");
  return kExitOk;
}

Result<int> RunScheduleDelete(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  v1::DeleteScheduleRequest request;
  request.set_request_id(NewId("req"));
  request.set_name(arguments.Get("SCHEDULE"));
  ATTUNE_ASSIGN_OR_RETURN(v1::DeleteScheduleResponse done,
                          client->Call(client->schedules(), &Stub::DeleteSchedule, request));
  session.Say("deleted schedule " + request.name() + "; its history stays");
  return kExitOk;
}

Result<int> RunScheduleExplain(Session& session, const Arguments&) {
  session.printer().out() << spec::ScheduleMarkdown();
  return kExitOk;
}

}  // namespace attune::cli
