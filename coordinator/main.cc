// attune-coordinator --config FILE: the cluster's API, state and scheduling.
// Exit codes: 0 stopped by a signal, 1 failed to start, 2 usage or configuration.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "common/base/crash.h"
#include "common/base/signals.h"
#include "common/base/version.h"
#include "common/log/log.h"
#include "coordinator/objects/object_source.h"
#include "coordinator/objects/timely_source.h"
#include "coordinator/server.h"

namespace attune {
namespace {

int Complain(const Status& status, int code) {
  std::fprintf(stderr, "attune-coordinator: %s\n", status.message().c_str());
  return code;
}

int Run(const std::string& config_path, bool init) {
  auto config = ReadCoordinatorConfig(config_path);
  if (!config.ok()) return Complain(config.status(), 2);
  config->init = init;
  if (Status logging = InitLogging("coordinator", config->log_level); !logging.ok()) {
    return Complain(logging, 2);
  }
  const sigset_t signals = BlockStopSignals();
  const Lifeline lifeline = Lifeline::FromEnvironment();
  auto server = CoordinatorServer::Start(*config);
  if (!server.ok()) return Complain(server.status(), 1);
  std::printf("attune-coordinator ready address=%s metrics=%s storage=%s\n",
              (*server)->address().c_str(), (*server)->metrics_address().c_str(),
              config->storage.c_str());
  std::fflush(stdout);
  const timespec tick{.tv_sec = 0, .tv_nsec = 200'000'000};
  int signal = -1;
  while (signal < 0 && !lifeline.IsCut()) signal = sigtimedwait(&signals, nullptr, &tick);
  spdlog::info("shuts down: {}", signal < 0 ? "the process of ATTUNE_EXIT_WITH has ended"
                                            : "signal " + std::to_string(signal));
  server->reset();
  if (objects::CallsUnderWay() > 0) {
    // All is written and closed; what hangs below a watched folder would hold up the exit.
    spdlog::warn("a read of a watched folder or prefix has not ended: it is left");
    spdlog::shutdown();
    std::_Exit(0);
  }
  objects::ShutdownSources();
  return 0;
}

}  // namespace
}  // namespace attune

int main(int argc, char** argv) {
  attune::ReportCrashes("attune-coordinator");
  CLI::App app("The coordinator of an Attune cluster: API, state, scheduling.");
  std::string config;
  app.add_option("--config", config, "Configuration file (YAML)")->required();
  bool init = false;
  app.add_flag("--init", init, "Begin a new cluster where the storage holds none");
  app.set_version_flag("--version", attune::kVersion);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return attune::Run(config, init);
}
