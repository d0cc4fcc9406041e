#include <sys/statvfs.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "common/base/files.h"
#include "common/base/version.h"
#include "tools/cli/doctor_parity.h"
#include "tools/cli/format.h"
#include "tools/cli/handlers.h"
#include "tools/cli/local_cluster.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;

enum class Verdict { kOk, kWarn, kFail };

struct Check {
  std::string name;
  Verdict verdict;
  std::string found;
  std::string fix;
};

Check CheckPrograms() {
  std::string found, missing;
  for (const char* name : {"attune-coordinator", "attune-worker", "attune-trainer"}) {
    auto program = FindProgram(name);
    std::string& list = program.ok() ? found : missing;
    list += (list.empty() ? "" : ", ") + (program.ok() ? program->string() : std::string(name));
  }
  if (missing.empty()) return {"programs", Verdict::kOk, found, ""};
  return {"programs", Verdict::kFail, "missing: " + missing,
          "build them with tools/build, or put them on the PATH"};
}

Check CheckCores() {
  unsigned cores = std::thread::hardware_concurrency();
  std::string found = std::to_string(cores) + (cores == 1 ? " core" : " cores");
  if (cores >= 2) return {"cores", Verdict::kOk, found, ""};
  return {"cores", Verdict::kWarn, found, "training on one core is slow; use a machine with more"};
}

Check CheckMemory() {
  constexpr double kWanted = 4.0 * (1 << 30);
  std::ifstream in("/proc/meminfo");
  std::string key, unit;
  double kib = 0, total = 0, available = 0;
  while (in >> key >> kib) {
    std::getline(in, unit);
    if (key == "MemTotal:") total = kib * 1024;
    if (key == "MemAvailable:") available = kib * 1024;
  }
  std::string found = FormatBytes(available) + " of " + FormatBytes(total) + " available";
  if (available >= kWanted) return {"memory", Verdict::kOk, found, ""};
  return {"memory", Verdict::kWarn, found,
          "small models need about 4 GiB; see `attune job submit --dry-run` for what a job needs"};
}

// The nearest folder that exists, for a path that may not yet.
fs::path Existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(path, error) && path.has_parent_path() && path != path.parent_path())
    path = path.parent_path();
  return path;
}

Check CheckDisk(const fs::path& home) {
  constexpr double kWanted = 5.0 * (1 << 30);
  struct statvfs stat {};
  if (statvfs(Existing(home).c_str(), &stat) != 0) {
    return {"disk", Verdict::kFail, "cannot look at " + home.string(),
            "set ATTUNE_HOME to a folder you own"};
  }
  double available = static_cast<double>(stat.f_bavail) * static_cast<double>(stat.f_frsize);
  std::string found = FormatBytes(available) + " free for " + home.string();
  if (available >= kWanted) return {"disk", Verdict::kOk, found, ""};
  return {"disk", Verdict::kWarn, found, "free some space, or set ATTUNE_HOME to a larger disk"};
}

Check CheckWritable(const fs::path& home) {
  fs::path folder = Existing(home);
  fs::path probe = folder / (".attune-doctor-" + std::to_string(getpid()));
  Status written = WriteFileAtomically(probe, "probe");
  std::error_code error;
  fs::remove(probe, error);
  if (written.ok()) return {"storage", Verdict::kOk, folder.string() + " is writable", ""};
  return {"storage", Verdict::kFail, written.message(),
          "set ATTUNE_HOME to a folder that you may write to"};
}

Check CheckGpu() {
  int gpus = CountGpus();
  if (gpus > 0)
    return {"gpu", Verdict::kOk, std::to_string(gpus) + " NVIDIA GPU" + (gpus == 1 ? "" : "s"), ""};
  std::error_code error;
  if (fs::exists("/dev/nvidia0", error)) return {"gpu", Verdict::kOk, "NVIDIA device files", ""};
  return {"gpu", Verdict::kOk, "none; training runs on the CPU", ""};
}

Check CheckAddress(const Settings& settings) {
  return {"address", Verdict::kOk, settings.endpoint.address + " (from " + settings.source + ")",
          ""};
}

// Reachable, and of one version.
std::vector<Check> CheckCoordinator(Session& session, const Settings& settings) {
  auto client = session.client();
  if (!client.ok())
    return {{"coordinator", Verdict::kFail, client.status().message(), "correct the TLS files"}};
  auto status = (*client)->Call((*client)->cluster(), &v1::ClusterService::Stub::GetStatus,
                                v1::GetStatusRequest());
  if (!status.ok()) {
    std::string address = settings.endpoint.address;
    int port = std::atoi(address.substr(address.rfind(':') + 1).c_str());
    if (rpc::IsLoopback(address) && IsPortFree(port)) {
      return {{"coordinator", Verdict::kWarn, "none runs at " + address + "; the port is free",
               "start one with `attune up`"}};
    }
    std::string fix =
        rpc::IsLoopback(address)
            ? "something else may listen there: choose another port with `attune up --port`"
            : "check the address, the network and the TLS files";
    return {{"coordinator", Verdict::kFail, status.status().message(), fix}};
  }
  std::vector<Check> checks = {{"coordinator", Verdict::kOk,
                                "reachable, " + std::to_string(status->nodes_ready()) +
                                    " nodes ready, " + std::to_string(status->slots()) + " slots",
                                ""}};
  std::string versions = "attune " + std::string(kVersion) + ", coordinator " + status->version();
  bool equal = status->version() == kVersion;
  auto nodes = (*client)->Call((*client)->nodes(), &v1::NodeService::Stub::ListNodes,
                               v1::ListNodesRequest());
  if (nodes.ok()) {
    for (const v1::Node& node : nodes->nodes()) {
      if (node.version() == kVersion) continue;
      equal = false;
      versions += ", " + node.name() + " " + node.version();
    }
  }
  checks.push_back({"versions", equal ? Verdict::kOk : Verdict::kWarn, versions,
                    equal ? "" : "install one version everywhere, then restart the daemons"});
  if (status->nodes_ready() == 0) {
    checks.push_back({"nodes", Verdict::kWarn, "no worker is ready",
                      "start one: `attune up --workers 2` or attune-worker"});
  }
  return checks;
}

std::string WordOf(Verdict verdict) {
  return verdict == Verdict::kOk ? "ok" : verdict == Verdict::kWarn ? "warn" : "fail";
}

Style StyleFor(Verdict verdict) {
  return verdict == Verdict::kOk     ? Style::kGreen
         : verdict == Verdict::kWarn ? Style::kYellow
                                     : Style::kRed;
}

}  // namespace

Result<int> RunDoctor(Session& session, const Arguments& arguments) {
  if (arguments.Has("--parity")) return RunParity(session, arguments);
  if (arguments.Has("--model")) return InvalidArgument("--model is for --parity: give both");
  fs::path home = HomeFolder(session.io());
  std::vector<Check> checks = {CheckPrograms(), CheckCores(),        CheckMemory(),
                               CheckDisk(home), CheckWritable(home), CheckGpu()};
  auto settings = session.settings();
  if (settings.ok()) {
    checks.push_back(CheckAddress(*settings));
    for (Check& check : CheckCoordinator(session, *settings)) checks.push_back(std::move(check));
  } else {
    checks.push_back({"settings", Verdict::kFail, settings.status().message(),
                      "correct the file or the option"});
  }
  auto json = nlohmann::ordered_json::array();
  std::string text;
  bool failed = false;
  for (const Check& check : checks) {
    failed = failed || check.verdict == Verdict::kFail;
    json.push_back({{"check", check.name},
                    {"verdict", WordOf(check.verdict)},
                    {"found", check.found},
                    {"fix", check.fix}});
    std::string word = WordOf(check.verdict);
    text += Paint(word, StyleFor(check.verdict), session.printer().color()) +
            std::string(6 - word.size(), ' ') + check.name +
            std::string(13 - std::min<size_t>(12, check.name.size()), ' ') + check.found + "\n";
    if (!check.fix.empty()) text += std::string(19, ' ') + "fix: " + check.fix + "\n";
  }
  session.printer().Object(json, failed ? "fail" : "ok", text);
  return failed ? kExitFailed : kExitOk;
}

}  // namespace attune::cli
