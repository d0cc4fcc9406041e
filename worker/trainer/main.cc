// attune-trainer: one rank of a run. Started by a launcher, told everything by its environment
// (settings.h) and the coordinator. With --parity FOLDER it is no rank, but parity.h.
//
// Exit codes: 0 the coordinator said so, 1 failed to start, 2 environment, 3 the coordinator was
// away for too long, 4 the coordinator refused it (the run is over), 143 SIGTERM.

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "common/base/crash.h"
#include "common/base/signals.h"
#include "common/log/log.h"
#include "worker/trainer/control.h"
#include "worker/trainer/parity.h"
#include "worker/trainer/remote_store.h"
#include "worker/trainer/report_buffer.h"
#include "worker/trainer/settings.h"
#include "worker/trainer/task_runner.h"

namespace attune::trainer {
namespace {

// A task looks after every step whether it should stop; one that waits for a lost peer does not.
// What is on disk is whole at any moment, so leaving early loses nothing but the steps since the
// last checkpoint.
constexpr std::chrono::seconds kStopWait{3};
// The last reports: a moment for the coordinator to take them.
constexpr std::chrono::milliseconds kReportWait{500};

int ExitCode(Control::End end) {
  switch (end) {
    case Control::End::kAway:
      return 3;
    case Control::End::kRefused:
      return 4;
    default:
      return 0;
  }
}

// Waits for SIGTERM or for a reason to end; the exit code.
int AwaitEnd(const Control& control, const sigset_t& signals) {
  const timespec tick{.tv_sec = 0, .tv_nsec = 50'000'000};
  while (control.end() == Control::End::kNone) {
    const int signal = sigtimedwait(&signals, nullptr, &tick);
    if (signal < 0) continue;
    spdlog::info("SIG{} received", sigabbrev_np(signal));
    return 128 + SIGTERM;
  }
  const int code = ExitCode(control.end());
  if (code == 0) {
    spdlog::info("told to exit: {}", control.why());
  } else {
    spdlog::error("giving up: {}", control.why());
  }
  return code;
}

// By _exit: a task's thread may still be inside the engine, and static destructors would pull
// libraries from under it.
[[noreturn]] void Exit(int code) {
  spdlog::shutdown();
  std::fflush(nullptr);
  _exit(code);
}

int Fail(const Status& status, int code) {
  std::fprintf(stderr, "attune-trainer: %s\n", status.message().c_str());
  return code;
}

int Main() {
  const sigset_t signals = BlockStopSignals();

  auto settings = ReadSettings([](const char* name) { return std::getenv(name); });
  if (!settings.ok()) return Fail(settings.status(), 2);
  unsetenv("ATTUNE_RUN_TOKEN");
  if (Status status = InitLogging("trainer", settings->log_level); !status.ok()) {
    return Fail(status, 2);
  }
  auto channel = rpc::Connect(settings->endpoint);
  if (!channel.ok()) return Fail(channel.status(), 1);
  std::shared_ptr<v1::TrainerService::StubInterface> stub = v1::TrainerService::NewStub(*channel);

  ReportBuffer reports;
  Control* control_pointer = nullptr;
  auto changed = [&control_pointer] { control_pointer->Wake(); };
  TaskRunner runner(
      settings->place,
      [&](const std::string& run) {
        return std::make_shared<RemoteStore>(stub, settings->endpoint, run, RemoteStore::Options());
      },
      &reports, changed);
  Control::Options options;
  options.trainer_id = settings->trainer_id;
  options.endpoint = settings->endpoint;
  options.away_max = settings->away_max;
  Control control(options, stub, &runner, &reports);
  control_pointer = &control;
  runner.Start();
  control.Start();

  const int code = AwaitEnd(control, signals);
  runner.Shutdown(std::chrono::steady_clock::now() + kStopWait);
  reports.WaitUntilEmpty(std::chrono::steady_clock::now() + kReportWait);
  reports.Close();
  control.Shutdown();
  Exit(code);
}

}  // namespace
}  // namespace attune::trainer

int main(int argc, char** argv) {
  attune::ReportCrashes("attune-trainer");
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty()) return attune::trainer::RunParity(arguments);
  return attune::trainer::Main();
}
