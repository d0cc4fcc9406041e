#pragma once

// The cluster of `attune up`: a coordinator and workers of this machine, kept in one folder.
//
//   cluster.yaml                     what was asked for
//   coordinator.yaml, worker-1.yaml  the daemons' configuration, written anew by each `up`
//   run/NAME.pid  logs/NAME.log      of each daemon
//   storage/                         the cluster's storage
//   workers/NAME/                    a worker's own files

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tools/cli/cluster_file.h"
#include "tools/cli/process.h"

namespace attune::cli {

struct Daemon {
  std::string name;     // "coordinator", "worker-1"
  std::string program;  // "attune-coordinator"
};

class LocalCluster {
 public:
  LocalCluster(std::filesystem::path home, ClusterFile file)
      : home_(std::move(home)), file_(std::move(file)) {}

  const ClusterFile& file() const { return file_; }
  const std::filesystem::path& home() const { return home_; }
  std::filesystem::path LogOf(const std::string& name) const {
    return home_ / "logs" / (name + ".log");
  }
  std::filesystem::path Storage() const { return home_ / "storage"; }
  // "cpu" or "cuda": what `auto` comes to on this machine.
  std::string Device() const;
  // The coordinator first.
  std::vector<Daemon> Daemons() const;
  // Also those of an earlier, larger cluster that still run.
  std::vector<std::string> RunningNames() const;
  std::optional<ProcessId> Running(const std::string& name) const;

  // Folders, cluster.yaml and the daemons' files.
  Status WriteFiles() const;
  // Starts a daemon that does not run. False when it does already.
  Result<bool> Start(const Daemon& daemon) const;
  // Stops a daemon that runs. The word for what happened: "stopped", "killed" or "not running".
  Result<std::string> StopDaemon(const std::string& name, std::chrono::milliseconds grace) const;

 private:
  std::filesystem::path PidFile(const std::string& name) const {
    return home_ / "run" / (name + ".pid");
  }
  std::string CoordinatorConfig() const;
  std::string WorkerConfig(int number) const;

  const std::filesystem::path home_;
  const ClusterFile file_;
};

// One `up` or `down` of a home at a time. kUnavailable when another holds it for longer than wait.
class HomeLock {
 public:
  static Result<HomeLock> Take(const std::filesystem::path& home, std::chrono::milliseconds wait);
  ~HomeLock();
  HomeLock(HomeLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  HomeLock& operator=(HomeLock&&) = delete;

 private:
  explicit HomeLock(int fd) : fd_(fd) {}
  int fd_;
};

// GPUs that the driver shows on this machine.
int CountGpus();

}  // namespace attune::cli
