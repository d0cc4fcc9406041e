#pragma once

#include <filesystem>
#include <string>

#include "common/base/status.h"

namespace attune {

// STORAGE/state, held by one coordinator at a time (flock on coordinator.lock: gone with the
// process).
class StateFolder {
 public:
  // Makes the folders of the storage that are missing. kFailedPrecondition when another coordinator
  // has it.
  static Result<StateFolder> Open(const std::filesystem::path& storage);
  ~StateFolder();
  StateFolder(StateFolder&& other) noexcept;
  StateFolder& operator=(StateFolder&&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // state/coordinator.json: where this coordinator is to be found.
  Status Announce(const std::string& address, const std::string& metrics_address) const;
  void Withdraw() const;

 private:
  StateFolder(std::filesystem::path path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::filesystem::path path_;
  int lock_;
};

}  // namespace attune
