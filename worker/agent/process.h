#pragma once

// One child process: its own process group, its output in a file, dead when we are dead.

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::worker {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release();

 private:
  int fd_ = -1;
};

struct SpawnRequest {
  std::vector<std::string> argv;         // argv[0] is the program's path; no secret in here
  std::vector<std::string> environment;  // "NAME=value", the whole of it
  std::filesystem::path log;             // standard output and error; emptied first
};

struct Child {
  pid_t pid = -1;  // also the process group's id
  UniqueFd pidfd;  // readable once the process has ended
};

// Starts the program with standard input from /dev/null, all signals at their defaults and no other
// descriptor open. The kernel kills the child (SIGKILL) when the THREAD that called Spawn ends, so
// that no child outlives its worker, however that dies: call it on a thread that stays. Errors: the
// program cannot be executed, the log not opened, no process left.
Result<Child> Spawn(const SpawnRequest& request);

struct ExitStatus {
  bool signaled = false;
  int code = 0;                    // exit code, or the signal
  uint64_t memory_peak_bytes = 0;  // resident set
};

// Ends the rest of the child's process group and reaps the child, which must have ended; nothing
// when it has not.
std::optional<ExitStatus> Reap(const Child& child);

// Sends the signal to the child's process group. The child must not have been reaped.
void SignalGroup(const Child& child, int signal);

}  // namespace attune::worker
