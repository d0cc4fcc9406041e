#include "tools/cli/process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <thread>

#include "common/base/files.h"

namespace attune::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path);  // /proc files have no size, so ReadFile is not for them
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::string> EnvironmentOf(const Launch& launch) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    if (launch.environment.count(text.substr(0, text.find('='))) == 0) out.push_back(text);
  }
  for (const auto& [key, value] : launch.environment) out.push_back(key + "=" + value);
  return out;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// In the child: only async-signal-safe calls. Ends it.
[[noreturn]] void Become(const char* program, char** arguments, char** environment, int log,
                         int report) {
  setsid();
  int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  for (int fd = 3; fd < 1024; ++fd) {
    if (fd != report) close(fd);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int signal : {SIGINT, SIGTERM, SIGPIPE, SIGHUP}) ::signal(signal, SIG_DFL);
  execve(program, arguments, environment);
  int error = errno;
  [[maybe_unused]] ssize_t written = write(report, &error, sizeof error);
  _exit(127);
}

}  // namespace

std::optional<uint64_t> StartTicksOf(const std::string& stat) {
  // "PID (NAME) STATE PPID ...": the name may hold blanks and parentheses, so count from the last
  // one.
  size_t after = stat.rfind(')');
  if (after == std::string::npos) return std::nullopt;
  std::istringstream rest(stat.substr(after + 1));
  std::vector<std::string> fields = {std::istream_iterator<std::string>(rest), {}};
  constexpr size_t kState = 0, kThreads = 17, kStart = 19;
  if (fields.size() <= kStart || fields[kState] == "X") return std::nullopt;
  // A killed process still holds its port and its locks until the last of its threads has ended.
  if (fields[kState] == "Z" && fields[kThreads] == "1") return std::nullopt;
  const std::string& start = fields[kStart];
  uint64_t ticks = 0;
  auto [end, error] = std::from_chars(start.data(), start.data() + start.size(), ticks);
  if (error != std::errc()) return std::nullopt;
  return ticks;
}

bool IsAlive(const ProcessId& process) {
  if (process.pid <= 1) return false;
  auto ticks = StartTicksOf(ReadAll("/proc/" + std::to_string(process.pid) + "/stat"));
  return ticks.has_value() && *ticks == process.start_ticks;
}

Status WritePidFile(const fs::path& path, const ProcessId& process) {
  return WriteFileAtomically(
      path, std::to_string(process.pid) + " " + std::to_string(process.start_ticks) + "\n");
}

std::optional<ProcessId> ReadLivePidFile(const fs::path& path) {
  auto text = ReadFile(path, 256);
  if (!text.ok()) return std::nullopt;
  std::istringstream in(*text);
  ProcessId process;
  if (!(in >> process.pid >> process.start_ticks) || !IsAlive(process)) return std::nullopt;
  return process;
}

Result<ProcessId> StartDetached(const Launch& launch) {
  int log = open(launch.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return ErrnoStatus(errno, "cannot open " + launch.log.string());
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    close(log);
    return ErrnoStatus(errno, "pipe");
  }
  std::vector<std::string> arguments = {launch.program.string()},
                           environment = EnvironmentOf(launch);
  arguments.insert(arguments.end(), launch.arguments.begin(), launch.arguments.end());
  std::vector<char*> argument_pointers = Pointers(arguments),
                     environment_pointers = Pointers(environment);
  pid_t pid = fork();
  if (pid == 0) {
    Become(launch.program.c_str(), argument_pointers.data(), environment_pointers.data(), log,
           report[1]);
  }
  int fork_error = errno;
  close(log);
  close(report[1]);
  int exec_error = 0;
  ssize_t got = pid < 0 ? 0 : read(report[0], &exec_error, sizeof exec_error);
  close(report[0]);
  if (pid < 0) return ErrnoStatus(fork_error, "fork");
  if (got > 0) {
    waitpid(pid, nullptr, 0);
    return ErrnoStatus(exec_error, "cannot run " + launch.program.string());
  }
  auto ticks = StartTicksOf(ReadAll("/proc/" + std::to_string(pid) + "/stat"));
  return ProcessId{pid, ticks.value_or(0)};
}

Result<bool> Stop(const ProcessId& process, milliseconds grace) {
  constexpr milliseconds kPoll{50}, kAfterKill{5000};
  bool killed = false;
  for (auto [signal, wait] : {std::pair(SIGTERM, grace), std::pair(SIGKILL, kAfterKill)}) {
    if (!IsAlive(process)) return killed;
    if (kill(process.pid, signal) != 0 && errno != ESRCH) {
      return ErrnoStatus(errno, "cannot signal process " + std::to_string(process.pid));
    }
    killed = signal == SIGKILL;
    for (auto until = steady_clock::now() + wait; steady_clock::now() < until;) {
      waitpid(process.pid, nullptr, WNOHANG);  // when it is a child of this very process
      if (!IsAlive(process)) return killed;
      std::this_thread::sleep_for(kPoll);
    }
  }
  return Internal("process " + std::to_string(process.pid) +
                  " does not go away, even after SIGKILL");
}

std::string Tail(const fs::path& file, size_t lines) {
  constexpr std::streamoff kMost = 16 << 10;
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) return "";
  std::streamoff size = in.tellg();
  in.seekg(std::max<std::streamoff>(0, size - kMost));
  std::ostringstream out;
  out << in.rdbuf();
  std::string text = out.str();
  while (!text.empty() && text.back() == '\n') text.pop_back();
  size_t start = text.size();
  for (size_t i = 0; i < lines && start != std::string::npos && start > 0; ++i)
    start = text.rfind('\n', start - 1);
  return start == std::string::npos ? text : text.substr(start == 0 ? 0 : start + 1);
}

Result<fs::path> FindProgram(const std::string& name) {
  std::vector<fs::path> folders;
  if (const char* folder = std::getenv("ATTUNE_BIN_DIR"); folder != nullptr && *folder)
    folders.emplace_back(folder);
  std::error_code error;
  folders.push_back(fs::read_symlink("/proc/self/exe", error).parent_path());
  std::istringstream path(std::getenv("PATH") == nullptr ? "" : std::getenv("PATH"));
  for (std::string folder; std::getline(path, folder, ':');) folders.emplace_back(folder);
  for (const fs::path& folder : folders) {
    fs::path program = folder / name;
    if (access(program.c_str(), X_OK) == 0 && fs::is_regular_file(program, error)) return program;
  }
  return NotFound("there is no program " + name +
                  " beside `attune` or on the PATH: build it with tools/build");
}

bool IsPortFree(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  bool is_free =
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0;
  close(fd);
  return is_free;
}

Result<int> FreePort() {
  // Below the range that the kernel gives to outgoing connections: a daemon that is down for a
  // moment must find its port again, and a client that knocks meanwhile must not be given that port
  // as its own.
  constexpr int kFirst = 20000, kCount = 12000;
  std::random_device random;
  for (int attempt = 0; attempt < 200; ++attempt) {
    int port = kFirst + static_cast<int>(random() % kCount);
    if (IsPortFree(port)) return port;
  }
  return Unavailable("no free port from 20000 to 31999 on this machine");
}

}  // namespace attune::cli
