#pragma once

#include <filesystem>
#include <string>

#include "common/base/status.h"

namespace attune {

inline constexpr char kClusterIdFile[] = "cluster-id";

// STORAGE/state, held by one coordinator at a time (flock on coordinator.lock: gone with the
// process).
class StateFolder {
 public:
  // Makes the folders of the storage that are missing. kFailedPrecondition when another coordinator
  // has it, or when it holds no cluster and init does not say to begin one: it may be a mount point
  // without its file system.
  static Result<StateFolder> Open(const std::filesystem::path& storage, bool init);
  ~StateFolder();
  StateFolder(StateFolder&& other) noexcept;
  StateFolder& operator=(StateFolder&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // STORAGE/cluster-id holds it: a random name by which workers see that they have the same
  // storage.
  const std::string& cluster_id() const { return cluster_id_; }
  // state/coordinator.json: where this coordinator is to be found.
  Status Announce(const std::string& address, const std::string& metrics_address) const;
  void Withdraw() const;

 private:
  StateFolder(std::filesystem::path path, std::string cluster_id, int lock)
      : path_(std::move(path)), cluster_id_(std::move(cluster_id)), lock_(lock) {}
  std::filesystem::path path_;
  std::string cluster_id_;
  int lock_;
};

}  // namespace attune
