#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "common/spec/json.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/job_view.h"
#include "tools/cli/live.h"
#include "tools/cli/local_cluster.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kDefaultMetricsPort = 9464;
constexpr milliseconds kReadyTimeout{30000};
constexpr milliseconds kPoll{100};
constexpr milliseconds kLockWait{60000};
constexpr milliseconds kGrace{20000};

Result<int> PortFrom(const Arguments& arguments, const char* option) {
  double port = arguments.Number(option);
  if (port > 65535) return InvalidArgument(std::string(option) + " must be a port, 0 to 65535");
  if (port == 0) return FreePort();
  return static_cast<int>(port);
}

// What was asked for, over what is there from before, over the defaults.
Result<ClusterFile> PlanCluster(const Arguments& arguments, const fs::path& home,
                                bool coordinator_runs) {
  ClusterFile file{.port = kDefaultPort, .metrics_port = 0, .workers = 1, .device = "auto"};
  auto before = ReadClusterFile(home);
  if (before.ok()) file = *before;
  if (!before.ok() && before.status().code() != StatusCode::kNotFound) return before.status();
  if (arguments.Has("--workers")) {
    if (arguments.Number("--workers") > 64) return InvalidArgument("--workers must be at most 64");
    file.workers = static_cast<int>(arguments.Number("--workers"));
  }
  if (arguments.Has("--device")) file.device = arguments.Get("--device");
  int port = file.port;
  if (arguments.Has("--port")) {
    bool any = arguments.Number("--port") == 0;
    if (!(any && coordinator_runs)) {
      ATTUNE_ASSIGN_OR_RETURN(port, PortFrom(arguments, "--port"));
    }
  }
  if (coordinator_runs && port != file.port) {
    return FailedPrecondition(
        "the coordinator of " + home.string() + " runs on port " + std::to_string(file.port) +
        " already: stop it with `attune down`, or choose another ATTUNE_HOME");
  }
  file.port = port;
  if (coordinator_runs) return file;
  if (!IsPortFree(file.port)) {
    return AlreadyExists(
        "port " + std::to_string(file.port) +
        " is taken by another program: choose another with --port, or --port 0 for a free one");
  }
  if (arguments.Has("--metrics-port")) {
    ATTUNE_ASSIGN_OR_RETURN(file.metrics_port, PortFrom(arguments, "--metrics-port"));
    if (!IsPortFree(file.metrics_port)) {
      return AlreadyExists("port " + std::to_string(file.metrics_port) +
                           " is taken by another program: choose another with --metrics-port");
    }
  } else if (file.metrics_port == 0 || !IsPortFree(file.metrics_port)) {
    file.metrics_port = kDefaultMetricsPort;
    if (!IsPortFree(file.metrics_port)) {
      ATTUNE_ASSIGN_OR_RETURN(file.metrics_port, FreePort());
    }
  }
  return file;
}

Status Died(const LocalCluster& cluster, const std::string& name) {
  std::string tail = Tail(cluster.LogOf(name), 8);
  return Internal(name + " ended right after its start" + (tail.empty() ? "" : ":\n" + tail) +
                  "\nwhole log: " + cluster.LogOf(name).string());
}

// Waits until the coordinator answers and all workers are ready.
Status WaitReady(Session& session, const LocalCluster& cluster) {
  rpc::Endpoint endpoint{.address = cluster.file().Address()};
  ATTUNE_ASSIGN_OR_RETURN(auto client, Client::Connect(endpoint, milliseconds(2000), nullptr));
  auto until = steady_clock::now() + kReadyTimeout;
  Status last = Unavailable("no answer");
  size_t ready = 0;
  const std::vector<Daemon> daemons = cluster.Daemons();
  while (steady_clock::now() < until) {
    if (session.io().interrupted()) return Cancelled("interrupted");
    for (const Daemon& daemon : daemons) {
      if (!cluster.Running(daemon.name)) return Died(cluster, daemon.name);
    }
    auto nodes =
        client->Call(client->nodes(), &v1::NodeService::Stub::ListNodes, v1::ListNodesRequest());
    if (nodes.ok()) {
      ready = 0;
      for (const v1::Node& node : nodes->nodes()) {
        bool ours = std::any_of(daemons.begin(), daemons.end(),
                                [&](const Daemon& daemon) { return daemon.name == node.name(); });
        ready += ours && node.state() == v1::Node::READY;
      }
      if (ready >= static_cast<size_t>(cluster.file().workers)) return Status();
    } else {
      last = nodes.status();
    }
    std::this_thread::sleep_for(kPoll);
  }
  return DeadlineExceeded("the cluster was not ready within " + FormatSeconds(30) + ": " +
                          std::to_string(ready) + " of " + std::to_string(cluster.file().workers) +
                          " workers joined; logs: " + (cluster.home() / "logs").string());
}

Result<std::vector<std::string>> StopAll(Session& session, const LocalCluster& cluster,
                                         milliseconds grace, bool only_surplus) {
  std::vector<std::string> names = cluster.RunningNames(), stopped;
  std::vector<std::string> wanted;
  for (const Daemon& daemon : cluster.Daemons()) wanted.push_back(daemon.name);
  if (only_surplus) {
    std::erase_if(names, [&](const std::string& name) {
      return std::find(wanted.begin(), wanted.end(), name) != wanted.end();
    });
  }
  // Workers first, all at once, so that their trainers can say goodbye to the coordinator.
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name != "coordinator"; });
  for (const std::string& name : names) {
    auto process = cluster.Running(name);
    if (process && name != "coordinator") kill(process->pid, SIGTERM);
  }
  for (const std::string& name : names) {
    ATTUNE_ASSIGN_OR_RETURN(std::string word, cluster.StopDaemon(name, grace));
    // It may have gone between the signal above and now.
    session.Say(name + " " + (word == "not running" ? "stopped" : word));
    stopped.push_back(name);
  }
  return stopped;
}

// Starts what is missing. When it does not become ready, stops again what this call has started.
Result<std::vector<std::string>> BringUp(Session& session, const LocalCluster& cluster) {
  for (const char* program : {"attune-coordinator", "attune-worker", "attune-trainer"}) {
    auto found = FindProgram(program);
    if (!found.ok()) return found.status();
  }
  ATTUNE_RETURN_IF_ERROR(cluster.WriteFiles());
  std::vector<std::string> started;
  Status status;
  for (const Daemon& daemon : cluster.Daemons()) {
    Result<bool> fresh = cluster.Start(daemon);
    status = fresh.ok() ? Status() : fresh.status();
    if (!status.ok()) break;
    if (*fresh) started.push_back(daemon.name);
  }
  if (status.ok()) status = StopAll(session, cluster, kGrace, true).status();
  if (status.ok()) status = WaitReady(session, cluster);
  if (status.ok()) return started;
  for (auto name = started.rbegin(); name != started.rend(); ++name) {
    auto stopped = cluster.StopDaemon(*name, kGrace);
    session.Say(*name + (stopped.ok() ? " " + *stopped : ": " + stopped.status().message()));
  }
  return status;
}

void Announce(Session& session, const LocalCluster& cluster,
              const std::vector<std::string>& started) {
  const ClusterFile& file = cluster.file();
  nlohmann::ordered_json json = {
      {"address", file.Address()},
      {"metrics_address", "127.0.0.1:" + std::to_string(file.metrics_port)},
      {"workers", file.workers},
      {"device", cluster.Device()},
      {"home", cluster.home().string()},
      {"storage", cluster.Storage().string()},
      {"started", started}};
  Card card({.now = session.io().clock->Now(),
             .width = session.printer().width(),
             .color = session.printer().color()});
  card.Title(started.empty() ? "The cluster runs already" : "The cluster is up");
  card.Row("Coordinator", file.Address());
  card.Row("Workers", file.workers == 0 ? "none"
                                        : std::to_string(file.workers) + ", one slot each, on " +
                                              cluster.Device());
  card.Row("Metrics", "http://127.0.0.1:" + std::to_string(file.metrics_port) + "/metrics");
  card.Row("Storage", cluster.Storage());
  card.Row("Logs", cluster.home() / "logs");
  session.printer().Object(json, file.Address(), card.Render());
}

// Brings back what ends, until interrupted; then stops everything.
Result<int> Stay(Session& session, const LocalCluster& cluster) {
  constexpr int kMost = 5;  // restarts of one daemon in a minute
  std::map<std::string, std::vector<steady_clock::time_point>> restarts;
  session.Say("running in the foreground; Ctrl-C stops the cluster");
  Status failure;
  while (!session.io().interrupted() && failure.ok()) {
    std::this_thread::sleep_for(milliseconds(200));
    for (const Daemon& daemon : cluster.Daemons()) {
      if (cluster.Running(daemon.name)) continue;
      auto& times = restarts[daemon.name];
      auto now = steady_clock::now();
      std::erase_if(times, [&](auto time) { return now - time > std::chrono::minutes(1); });
      if (times.size() >= kMost) {
        failure = Internal(daemon.name +
                           " ends again and again; log: " + cluster.LogOf(daemon.name).string());
        break;
      }
      times.push_back(now);
      session.Say(daemon.name + " ended; starting it again");
      if (auto fresh = cluster.Start(daemon); !fresh.ok()) failure = fresh.status();
    }
  }
  auto stopped = StopAll(session, cluster, kGrace, false);
  if (!failure.ok()) return failure;
  if (!stopped.ok()) return stopped.status();
  return kExitOk;
}

}  // namespace

Result<int> RunUp(Session& session, const Arguments& arguments) {
  CatchInterrupt catch_interrupt;
  fs::path home = HomeFolder(session.io());
  auto lock = std::make_unique<Result<HomeLock>>(HomeLock::Take(home, kLockWait));
  if (!lock->ok()) return lock->status();
  bool runs = LocalCluster(home, {}).Running("coordinator").has_value();
  ATTUNE_ASSIGN_OR_RETURN(ClusterFile file, PlanCluster(arguments, home, runs));
  LocalCluster cluster(home, file);
  LiveLine live(&session.io(), session.quiet());
  size_t missing =
      cluster.Daemons().size() - std::min(cluster.Daemons().size(), cluster.RunningNames().size());
  if (missing > 0) {
    std::string line =
        "starting " + std::to_string(missing) + (missing == 1 ? " process" : " processes");
    live.Update(line + " ...", line);
  }
  auto started = BringUp(session, cluster);
  live.Clear();
  if (!started.ok()) return started.status();
  Announce(session, cluster, *started);
  if (!arguments.Has("--foreground")) return kExitOk;
  lock.reset();  // `attune status` and a second `up` may come meanwhile
  return Stay(session, cluster);
}

Result<int> RunDown(Session& session, const Arguments& arguments) {
  fs::path home = HomeFolder(session.io());
  std::error_code error;
  if (!fs::exists(home, error)) {
    session.Say("nothing runs: there is no " + home.string());
    return kExitOk;
  }
  auto lock = HomeLock::Take(home, kLockWait);
  if (!lock.ok()) return lock.status();
  milliseconds grace(static_cast<int64_t>(arguments.Number("--grace") * 1000));
  ATTUNE_ASSIGN_OR_RETURN(auto stopped, StopAll(session, LocalCluster(home, {}), grace, false));
  if (stopped.empty()) session.Say("nothing runs in " + home.string());
  std::vector<nlohmann::ordered_json> items;
  for (const std::string& name : stopped) items.push_back({{"name", name}, {"state", "stopped"}});
  if (!session.printer().human()) session.printer().List(items, stopped, Table({}), "");
  return kExitOk;
}

}  // namespace attune::cli
