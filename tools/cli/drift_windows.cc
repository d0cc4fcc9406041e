// Commands about one window of a stream.

#include <chrono>
#include <thread>

#include "common/spec/json.h"
#include "tools/cli/drift_view.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/live.h"

namespace attune::cli {
namespace {

using Stub = v1::DriftService::Stub;

constexpr std::chrono::milliseconds kLookInterval{500};

ViewOptions View(Session& session) {
  return {.now = session.io().clock->Now(),
          .width = session.printer().width(),
          .color = session.printer().color()};
}

std::string WindowName(const std::string& stream, uint64_t number) {
  return "window " + std::to_string(number) + " of " + stream;
}

// Nothing happens to it by itself any more.
bool IsDone(const v1::Window& window) {
  return window.state() == "measured" || window.state() == "failed" ||
         window.state() == "unmeasured";
}

// A window that is closed but no data set version yet has no state.
Result<v1::Window> FindWindow(Client* client, const std::string& stream, uint64_t number) {
  v1::ListWindowsRequest request;
  request.set_stream(stream);
  request.set_after(number - 1);
  request.set_page_size(1);
  ATTUNE_ASSIGN_OR_RETURN(v1::ListWindowsResponse page,
                          client->Call(client->drift(), &Stub::ListWindows, request));
  if (page.windows_size() > 0 && page.windows(0).number() == number) return page.windows(0);
  return v1::Window();
}

std::string Doing(const v1::Window& window) {
  if (window.state().empty()) return "becomes a data set";
  if (window.state() != "embedding") return "waits for those before it";
  return window.job_id().empty() ? "is embedded" : "is embedded by " + window.job_id();
}

// Until the window is done. kDeadlineExceeded after limit; kCancelled after Ctrl-C. A coordinator
// that is away for a while is waited for as well.
Result<v1::Window> WaitForWindow(Session& session, Client* client, const std::string& stream,
                                 uint64_t number, double limit) {
  using Seconds = std::chrono::duration<double>;
  CatchInterrupt catch_interrupt;
  LiveLine live(&session.io(), session.quiet());
  const std::string name = WindowName(stream, number);
  const std::string hint = "; it goes on, `attune drift show " + stream + "` has its state";
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    Result<v1::Window> window = FindWindow(client, stream, number);
    if (window.ok() && IsDone(*window)) return window;
    if (!window.ok() && ExitCode(window.status()) != kExitUnavailable) return window;
    const std::string doing = window.ok() ? Doing(*window) : window.status().message();
    const Seconds waited = std::chrono::steady_clock::now() - begin;
    if (waited.count() >= limit) {
      return DeadlineExceeded("after " + FormatSeconds(limit) + " " + name + " " + doing + hint);
    }
    const std::string line = name + " " + doing;
    live.Update(line + " (" + FormatSeconds(waited.count()) + ")", line);
    const auto until = std::chrono::steady_clock::now() + kLookInterval;
    while (std::chrono::steady_clock::now() < until) {
      if (session.io().interrupted()) return Cancelled("no longer waiting for " + name + hint);
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

Result<int> SetExcluded(Session& session, const Arguments& arguments, bool excluded) {
  v1::SetWindowExcludedRequest request;
  request.set_request_id(NewId("req"));
  request.set_stream(arguments.Get("STREAM"));
  request.set_number(arguments.Whole("WINDOW"));
  request.set_excluded(excluded);
  request.set_reason(arguments.Get("--reason"));
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  ATTUNE_ASSIGN_OR_RETURN(v1::Window window,
                          client->Call(client->drift(), &Stub::SetWindowExcluded, request));
  const std::string text =
      WindowName(window.stream(), window.number()) +
      (window.excluded() ? " is excluded from training: " + window.excluded_reason()
                         : " may be trained on") +
      "\n";
  session.printer().Object(spec::ToJson(window), std::to_string(window.number()), text);
  return kExitOk;
}

}  // namespace

Result<int> RunDriftExclude(Session& session, const Arguments& arguments) {
  return SetExcluded(session, arguments, true);
}

Result<int> RunDriftInclude(Session& session, const Arguments& arguments) {
  return SetExcluded(session, arguments, false);
}

Result<int> RunDriftClose(Session& session, const Arguments& arguments) {
  ATTUNE_ASSIGN_OR_RETURN(Client * client, session.client());
  const std::string name = arguments.Get("STREAM");
  v1::CloseWindowRequest request;
  request.set_request_id(NewId("req"));
  request.set_stream(name);
  ATTUNE_ASSIGN_OR_RETURN(v1::Stream stream,
                          client->Call(client->drift(), &Stub::CloseWindow, request));
  std::vector<v1::Window> windows;
  nlohmann::ordered_json json;
  if (arguments.Has("--wait")) {
    if (stream.windows() == 0) {
      return FailedPrecondition("stream " + name + " has no window to wait for: it took no rows");
    }
    ATTUNE_ASSIGN_OR_RETURN(
        v1::Window window,
        WaitForWindow(session, client, name, stream.windows(), arguments.Number("--wait-limit")));
    const std::string state = WindowName(name, window.number()) + " " + window.state();
    if (window.state() == "failed") return Internal(state + ": " + window.reason());
    session.Say(window.state() == "measured" ? state : state + ": " + window.reason());
    windows.push_back(std::move(window));
    v1::GetStreamRequest again;
    again.set_name(name);
    ATTUNE_ASSIGN_OR_RETURN(stream, client->Call(client->drift(), &Stub::GetStream, again));
  }
  json = spec::ToJson(stream);
  for (const v1::Window& window : windows) json["history"].push_back(spec::ToJson(window));
  session.printer().Object(json, name, StreamCard(stream, windows, View(session)));
  return kExitOk;
}

}  // namespace attune::cli
