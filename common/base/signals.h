#pragma once

#include <signal.h>
#include <sys/types.h>

namespace attune {

// For a daemon's main, before any thread, so that all threads inherit it: SIGTERM and SIGINT are
// blocked and only a sigwait on the returned set takes them; SIGPIPE is ignored.
sigset_t BlockStopSignals();

// Another process that this one is not to outlive: that whose id is in ATTUNE_EXIT_WITH, for
// daemons of a test or a script that may itself be killed. Without the variable there is none.
class Lifeline {
 public:
  static Lifeline FromEnvironment();
  ~Lifeline();
  Lifeline(Lifeline&& other) noexcept;
  Lifeline& operator=(Lifeline&&) = delete;

  // The process has ended.
  bool IsCut() const;

 private:
  Lifeline(pid_t pid, int pidfd) : pid_(pid), pidfd_(pidfd) {}
  pid_t pid_;  // 0: none
  int pidfd_;  // -1: it was gone already
};

}  // namespace attune
