#include "worker/agent/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>

namespace attune::worker {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) pointers.push_back(const_cast<char*>(s.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

struct ChildPlan {
  char* const* argv;
  char* const* environment;
  int input;
  int log;
  int error_pipe;  // takes errno when the program cannot be executed
  pid_t parent;
};

[[noreturn]] void FailInChild(const ChildPlan& plan) {
  int error = errno;
  [[maybe_unused]] ssize_t written = write(plan.error_pipe, &error, sizeof(error));
  _exit(127);
}

// Between fork and exec in a process with threads: async-signal-safe calls only, no allocation.
[[noreturn]] void RunChild(const ChildPlan& plan) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) FailInChild(plan);
  if (getppid() != plan.parent) _exit(127);  // the worker died before the line above
  if (setpgid(0, 0) != 0) FailInChild(plan);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);  // an ignored signal would stay ignored
  if (dup2(plan.input, 0) < 0 || dup2(plan.log, 1) < 0 || dup2(plan.log, 2) < 0) FailInChild(plan);
  syscall(SYS_close_range, 3U, ~0U, static_cast<unsigned>(CLOSE_RANGE_CLOEXEC));
  execve(plan.argv[0], plan.argv, plan.environment);
  FailInChild(plan);
}

// errno of the child's failed exec, 0 when it runs the program.
int AwaitExec(int error_pipe) {
  int error = 0;
  ssize_t got;
  do {
    got = read(error_pipe, &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  return got == static_cast<ssize_t>(sizeof(error)) ? error : 0;
}

}  // namespace

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.Release();
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) close(fd_);
}

int UniqueFd::Release() {
  int fd = fd_;
  fd_ = -1;
  return fd;
}

Result<Child> Spawn(const SpawnRequest& request) {
  UniqueFd input(open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!input.valid()) return ErrnoStatus(errno, "open /dev/null");
  UniqueFd log(
      open(request.log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0640));
  if (!log.valid()) return ErrnoStatus(errno, "open the trainer's log " + request.log.string());
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  UniqueFd read_end(ends[0]), write_end(ends[1]);

  const std::vector<char*> argv = Pointers(request.argv);
  const std::vector<char*> environment = Pointers(request.environment);
  const ChildPlan plan{argv.data(), environment.data(), input.get(),
                       log.get(),   write_end.get(),    getpid()};
  Child child;
  child.pid = fork();
  if (child.pid == 0) RunChild(plan);
  if (child.pid < 0) return ErrnoStatus(errno, "fork");
  write_end = UniqueFd();
  if (int error = AwaitExec(read_end.get()); error != 0) {
    while (waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return ErrnoStatus(error, "execute " + request.argv[0]);
  }
  child.pidfd = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, child.pid, 0U)));
  if (!child.pidfd.valid()) {
    Status status = ErrnoStatus(errno, "pidfd_open");
    kill(-child.pid, SIGKILL);
    while (waitpid(child.pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return status;
  }
  return child;
}

std::optional<ExitStatus> Reap(const Child& child) {
  pollfd ended{child.pidfd.get(), POLLIN, 0};
  if (poll(&ended, 1, 0) != 1) return std::nullopt;
  SignalGroup(child, SIGKILL);  // before the wait: until then no one else can get this id
  int status = 0;
  rusage usage{};
  pid_t got;
  do {
    got = wait4(child.pid, &status, 0, &usage);
  } while (got < 0 && errno == EINTR);
  ExitStatus out;
  out.signaled = got == child.pid && WIFSIGNALED(status);
  out.code = out.signaled ? WTERMSIG(status) : WEXITSTATUS(status);
  out.memory_peak_bytes = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  return out;
}

void SignalGroup(const Child& child, int signal) {
  if (child.pid > 1) kill(-child.pid, signal);
}

}  // namespace attune::worker
