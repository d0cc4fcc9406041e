#pragma once

// Programs run to their end with a deadline; processes found and killed.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace attune::cluster {

struct Finished {
  int exit_code = -1;  // 128 + signal when it was killed
  bool timed_out = false;
  std::string out, err;
};

// Runs a program (found on the PATH unless it is a path) with variables on top of this process's
// own. After the deadline it is killed.
Finished Run(const std::vector<std::string>& command,
             const std::map<std::string, std::string>& environment, std::chrono::seconds timeout);

// Starts a program the same way and returns at once; what it prints goes into the file. Whoever
// starts it has called AdoptOrphans, and KillDescendants ends it.
pid_t Start(const std::vector<std::string>& command,
            const std::map<std::string, std::string>& environment,
            const std::filesystem::path& log);

// Makes orphans of this process's descendants its own children, so that KillDescendants finds the
// daemons that `attune up` detached.
void AdoptOrphans();
// SIGKILL to every descendant, until there is none.
void KillDescendants();

// Living descendants of a process whose program has this file name.
std::vector<pid_t> DescendantsNamed(pid_t of, const std::string& program);
// A variable of a process's environment; empty when there is none.
std::string EnvironmentOf(pid_t pid, const std::string& name);
bool IsAlive(pid_t pid);

}  // namespace attune::cluster
