#include "coordinator/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"

namespace attune {

namespace {

Result<std::string> ReadClusterId(const std::filesystem::path& storage) {
  ATTUNE_ASSIGN_OR_RETURN(std::string id, ReadFile(storage / kClusterIdFile, 256));
  while (!id.empty() && id.back() == '\n') id.pop_back();
  if (id.empty()) return DataLoss((storage / kClusterIdFile).string() + " is empty");
  return id;
}

Result<std::string> OpenCluster(const std::filesystem::path& storage, bool init) {
  auto id = ReadClusterId(storage);
  if (id.ok() || id.status().code() != StatusCode::kNotFound) return id;
  std::error_code error;
  const bool of_older_version = std::filesystem::exists(storage / "state/attune.db", error);
  if (!init && !of_older_version) {
    return FailedPrecondition("storage " + storage.string() +
                              " holds no cluster: mount its file system if it is not mounted, or "
                              "begin a new cluster there by starting once with --init");
  }
  std::filesystem::create_directories(storage, error);
  if (error) return ErrnoStatus(error.value(), "storage folder " + storage.string());
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(storage / kClusterIdFile, NewId("cluster") + "\n"));
  return ReadClusterId(storage);
}

}  // namespace

Result<StateFolder> StateFolder::Open(const std::filesystem::path& storage, bool init) {
  ATTUNE_ASSIGN_OR_RETURN(std::string cluster_id, OpenCluster(storage, init));
  for (const char* name : {"state", "datasets", "models", "cache/tokens", "runs", "logs"}) {
    std::error_code error;
    std::filesystem::create_directories(storage / name, error);
    if (error) return ErrnoStatus(error.value(), "storage folder " + (storage / name).string());
  }
  const std::filesystem::path path = storage / "state";
  const std::string lock_path = path / "coordinator.lock";
  int lock = open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return ErrnoStatus(errno, lock_path);
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    int error = errno;
    close(lock);
    if (error != EWOULDBLOCK) return ErrnoStatus(error, lock_path);
    return FailedPrecondition("another coordinator runs on the storage " + storage.string() +
                              ": stop it, or use another storage folder");
  }
  return StateFolder(path, std::move(cluster_id), lock);
}

StateFolder::StateFolder(StateFolder&& other) noexcept
    : path_(std::move(other.path_)), cluster_id_(std::move(other.cluster_id_)), lock_(other.lock_) {
  other.lock_ = -1;
}

StateFolder::~StateFolder() {
  if (lock_ >= 0) close(lock_);
}

Status StateFolder::Announce(const std::string& address, const std::string& metrics_address) const {
  nlohmann::ordered_json json = {
      {"address", address}, {"metrics_address", metrics_address}, {"pid", getpid()}};
  return WriteFileAtomically(path_ / "coordinator.json", json.dump() + "\n");
}

void StateFolder::Withdraw() const {
  std::error_code error;
  std::filesystem::remove(path_ / "coordinator.json", error);
}

}  // namespace attune
