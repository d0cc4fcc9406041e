// attune-worker: offers this host's slots to a coordinator and runs trainers in them.
//
// Exit codes: 0 stopped by SIGTERM or SIGINT, 1 failed, 2 usage or configuration, 4 refused by the
// coordinator.

#include <signal.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "common/base/crash.h"
#include "common/base/signals.h"
#include "common/base/version.h"
#include "common/log/log.h"
#include "worker/agent/agent.h"
#include "worker/agent/config.h"
#include "worker/agent/metrics.h"

namespace attune::worker {
namespace {

constexpr std::chrono::milliseconds kStopGrace{10000};
constexpr std::chrono::milliseconds kFlush{3000};

// What flags say; each wins over the file.
struct Flags {
  std::string config, coordinator, node, device, storage, work_dir, metrics_listen, trainer,
      log_level;
  uint32_t slots = 0, cores = 0;
};

void DeclareFlags(CLI::App& app, Flags* flags) {
  app.set_version_flag("--version", kVersion);
  app.add_option("--config", flags->config, "YAML file, see configs/clusters/worker.yaml");
  app.add_option("--coordinator", flags->coordinator, "host:port of the coordinator");
  app.add_option("--node", flags->node, "name of this worker, unique in the cluster");
  app.add_option("--device", flags->device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--slots", flags->slots, "trainers at once")->check(CLI::Range(1, 1024));
  app.add_option("--cores", flags->cores, "cores that the slots share")
      ->check(CLI::Range(1, 65536));
  app.add_option("--storage", flags->storage, "the cluster's shared folder");
  app.add_option("--work-dir", flags->work_dir, "folder for the logs of running trainers");
  app.add_option("--metrics-listen", flags->metrics_listen, "host:port of /metrics, port 0: any");
  app.add_option("--trainer", flags->trainer, "path of attune-trainer");
  app.add_option("--log-level", flags->log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
}

Result<WorkerConfig> MakeConfig(const Flags& flags) {
  WorkerConfig config;
  if (!flags.config.empty()) {
    ATTUNE_ASSIGN_OR_RETURN(auto document, yaml::ParseFile(flags.config));
    ATTUNE_RETURN_IF_ERROR(
        ReadWorkerConfig(document, std::filesystem::absolute(flags.config).parent_path(), &config));
  }
  if (!flags.coordinator.empty()) config.coordinator.address = flags.coordinator;
  if (!flags.node.empty()) config.node = flags.node;
  if (!flags.device.empty()) config.device = flags.device;
  if (!flags.storage.empty()) config.storage = flags.storage;
  if (!flags.work_dir.empty()) config.work_dir = flags.work_dir;
  if (!flags.metrics_listen.empty()) config.metrics_listen = flags.metrics_listen;
  if (!flags.trainer.empty()) config.trainer = flags.trainer;
  if (!flags.log_level.empty()) config.log_level = flags.log_level;
  if (flags.slots != 0) config.slots = flags.slots;
  if (flags.cores != 0) config.cores = flags.cores;
  ATTUNE_RETURN_IF_ERROR(CompleteWorkerConfig(&config));
  return config;
}

int Fail(const Status& status, int code) {
  std::fprintf(stderr, "attune-worker: %s\n", status.message().c_str());
  return code;
}

// Waits for SIGTERM or SIGINT, or until the coordinator has refused the worker for good.
int Serve(Agent& agent, const sigset_t& signals, const Lifeline& lifeline) {
  const timespec tick{.tv_sec = 0, .tv_nsec = 200'000'000};
  while (agent.welcome()) {
    const int signal = sigtimedwait(&signals, nullptr, &tick);
    if (signal < 0 && !lifeline.IsCut()) continue;
    spdlog::info("stopping trainers: {}", signal < 0 ? "the process of ATTUNE_EXIT_WITH has ended"
                                                     : std::string("SIG") + sigabbrev_np(signal));
    agent.Shutdown(kStopGrace, kFlush);
    return 0;
  }
  spdlog::error("{}", agent.why());
  agent.Shutdown(kStopGrace, std::chrono::milliseconds(0));
  return 4;
}

int Main(int argc, char** argv) {
  const sigset_t signals = BlockStopSignals();
  const Lifeline lifeline = Lifeline::FromEnvironment();

  CLI::App app("Offers this host's slots to an Attune coordinator and runs trainers in them.",
               "attune-worker");
  Flags flags;
  DeclareFlags(app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  auto config = MakeConfig(flags);
  if (!config.ok()) return Fail(config.status(), 2);
  if (Status status = InitLogging("worker", config->log_level); !status.ok())
    return Fail(status, 2);
  WorkerMetrics metrics(config->node);
  if (Status status = metrics.Serve(config->metrics_listen); !status.ok()) return Fail(status, 1);
  Agent agent(*config, Agent::Options(), &metrics);
  if (Status status = agent.Start(); !status.ok()) return Fail(status, 1);
  return Serve(agent, signals, lifeline);
}

}  // namespace
}  // namespace attune::worker

int main(int argc, char** argv) {
  attune::ReportCrashes("attune-worker");
  return attune::worker::Main(argc, argv);
}
