#pragma once

// Detached daemons of this machine, remembered by pid files that a reused pid cannot fool.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::cli {

// A process that was started: its pid, and when the kernel says it started (clock ticks since
// boot), which together name it for good.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;
};

// Parses /proc/PID/stat: field 22, and that it is no zombie. Pure.
std::optional<uint64_t> StartTicksOf(const std::string& stat);
bool IsAlive(const ProcessId& process);

Status WritePidFile(const std::filesystem::path& path, const ProcessId& process);
// Empty when there is no file or its process is gone.
std::optional<ProcessId> ReadLivePidFile(const std::filesystem::path& path);

struct Launch {
  std::filesystem::path program;
  std::vector<std::string> arguments;
  std::map<std::string, std::string> environment;  // on top of this process's own
  std::filesystem::path log;                       // standard output and error are appended
};
// Starts it in a session of its own, so that it outlives this process and its terminal. Errors: the
// program cannot be executed, the log cannot be opened.
Result<ProcessId> StartDetached(const Launch& launch);

// SIGTERM, then SIGKILL when it has not gone after grace. True when SIGKILL was needed.
Result<bool> Stop(const ProcessId& process, std::chrono::milliseconds grace);

// The last lines of a text file, for messages; empty when it cannot be read.
std::string Tail(const std::filesystem::path& file, size_t lines);

// A program of this project: in $ATTUNE_BIN_DIR, beside the running program, or on the PATH.
Result<std::filesystem::path> FindProgram(const std::string& name);

// Whether nobody listens on a loopback port, and a port on which nobody does, from 20000 to 31999.
bool IsPortFree(int port);
Result<int> FreePort();

}  // namespace attune::cli
