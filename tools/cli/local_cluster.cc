#include "tools/cli/local_cluster.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "common/base/files.h"
#include "common/spec/json.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;

// A path or word as a YAML string, whatever is in it.
std::string Quoted(const std::string& text) {
  return spec::JsonText(text);
}

int UsableCores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

int NumberOf(const std::string& worker) {
  return std::atoi(worker.substr(worker.rfind('-') + 1).c_str());
}

}  // namespace

int CountGpus() {
  std::error_code error;
  fs::directory_iterator gpus("/proc/driver/nvidia/gpus", error);
  return error ? 0 : static_cast<int>(std::distance(gpus, fs::directory_iterator()));
}

std::string LocalCluster::Device() const {
  if (file_.device != "auto") return file_.device;
  auto trainer = FindProgram("attune-trainer");
  std::error_code error;
  // A GPU is of use only to a trainer that was built for it.
  bool cuda = trainer.ok() && fs::exists(trainer->parent_path() / "libattune_cuda.so", error);
  return cuda && CountGpus() > 0 ? "cuda" : "cpu";
}

std::vector<Daemon> LocalCluster::Daemons() const {
  std::vector<Daemon> daemons = {{"coordinator", "attune-coordinator"}};
  for (int i = 1; i <= file_.workers; ++i)
    daemons.push_back({"worker-" + std::to_string(i), "attune-worker"});
  return daemons;
}

std::vector<std::string> LocalCluster::RunningNames() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(home_ / "run", error)) {
    if (entry.path().extension() == ".pid" && ReadLivePidFile(entry.path()))
      names.push_back(entry.path().stem());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<ProcessId> LocalCluster::Running(const std::string& name) const {
  return ReadLivePidFile(PidFile(name));
}

std::string LocalCluster::CoordinatorConfig() const {
  return "# Written by `attune up`.\nlisten: " + Quoted(file_.Address()) +
         "\nstorage: " + Quoted(Storage()) +
         "\nmetrics_listen: " + Quoted("127.0.0.1:" + std::to_string(file_.metrics_port)) + "\n";
}

std::string LocalCluster::WorkerConfig(int number) const {
  std::string name = "worker-" + std::to_string(number);
  int port = file_.metrics_port + number;
  bool usable = port <= 65535 && (Running(name) || IsPortFree(port));
  auto trainer = FindProgram("attune-trainer");
  return "# Written by `attune up`.\ncoordinator: {address: " + Quoted(file_.Address()) +
         "}\nnode: " + name + "\nslots: 1\ncores: " +
         std::to_string(std::max(1, UsableCores() / std::max(1, file_.workers))) +
         "\ndevice: " + Device() + (trainer.ok() ? "\ntrainer: " + Quoted(*trainer) : "") +
         "\nstorage: " + Quoted(Storage()) + "\nwork_dir: " + Quoted(home_ / "workers" / name) +
         "\nmetrics_listen: " + Quoted("127.0.0.1:" + std::to_string(usable ? port : 0)) + "\n";
}

Status LocalCluster::WriteFiles() const {
  std::error_code error;
  for (const fs::path& folder : {home_ / "run", home_ / "logs", Storage()}) {
    fs::create_directories(folder, error);
    if (error) return ErrnoStatus(error.value(), "cannot make " + folder.string());
  }
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(home_ / "coordinator.yaml", CoordinatorConfig()));
  for (int i = 1; i <= file_.workers; ++i) {
    fs::create_directories(home_ / "workers" / ("worker-" + std::to_string(i)), error);
    ATTUNE_RETURN_IF_ERROR(
        WriteFileAtomically(home_ / ("worker-" + std::to_string(i) + ".yaml"), WorkerConfig(i)));
  }
  return WriteClusterFile(home_, file_);
}

Result<bool> LocalCluster::Start(const Daemon& daemon) const {
  if (Running(daemon.name)) return false;
  Launch launch;
  ATTUNE_ASSIGN_OR_RETURN(launch.program, FindProgram(daemon.program));
  launch.arguments = {"--config", home_ / (daemon.name + ".yaml")};
  if (daemon.name == "coordinator") launch.arguments.push_back("--init");
  launch.log = LogOf(daemon.name);
  if (int gpus = CountGpus(); Device() == "cuda" && gpus > 0 && daemon.name != "coordinator") {
    launch.environment["CUDA_VISIBLE_DEVICES"] = std::to_string((NumberOf(daemon.name) - 1) % gpus);
  }
  ATTUNE_ASSIGN_OR_RETURN(ProcessId process, StartDetached(launch));
  ATTUNE_RETURN_IF_ERROR(WritePidFile(PidFile(daemon.name), process));
  return true;
}

Result<std::string> LocalCluster::StopDaemon(const std::string& name,
                                             std::chrono::milliseconds grace) const {
  std::string word = "not running";
  if (auto process = Running(name)) {
    ATTUNE_ASSIGN_OR_RETURN(bool killed, Stop(*process, grace));
    word = killed ? "killed" : "stopped";
  }
  std::error_code error;
  fs::remove(PidFile(name), error);
  return word;
}

Result<HomeLock> HomeLock::Take(const fs::path& home, std::chrono::milliseconds wait) {
  std::error_code error;
  fs::create_directories(home, error);
  if (error) return ErrnoStatus(error.value(), "cannot make " + home.string());
  int fd = open((home / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot open " + (home / "lock").string());
  auto until = std::chrono::steady_clock::now() + wait;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (std::chrono::steady_clock::now() >= until) {
      close(fd);
      return Unavailable("another `attune up` or `attune down` works on " + home.string());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return HomeLock(fd);
}

HomeLock::~HomeLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace attune::cli
