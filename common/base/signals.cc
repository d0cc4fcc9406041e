#include "common/base/signals.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace attune {

sigset_t BlockStopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

Lifeline Lifeline::FromEnvironment() {
  const char* text = std::getenv("ATTUNE_EXIT_WITH");
  const pid_t pid = text == nullptr ? 0 : std::atoi(text);
  if (pid <= 0) return Lifeline(0, -1);
  return Lifeline(pid, static_cast<int>(syscall(SYS_pidfd_open, pid, 0U)));
}

Lifeline::Lifeline(Lifeline&& other) noexcept
    : pid_(std::exchange(other.pid_, 0)), pidfd_(std::exchange(other.pidfd_, -1)) {}

Lifeline::~Lifeline() {
  if (pidfd_ >= 0) close(pidfd_);
}

bool Lifeline::IsCut() const {
  if (pid_ == 0) return false;
  pollfd ended{pidfd_, POLLIN, 0};
  return pidfd_ < 0 || poll(&ended, 1, 0) == 1;
}

}  // namespace attune
