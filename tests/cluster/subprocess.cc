#include "tests/cluster/subprocess.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

extern char** environ;

namespace attune::cluster {
namespace fs = std::filesystem;
namespace {

using Time = std::chrono::steady_clock::time_point;

std::vector<std::string> EnvironmentWith(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('='))) && !text.starts_with("ATTUNE_")) {
      all.push_back(text);
    }
  }
  for (const auto& [name, value] : extra) all.push_back(name + "=" + value);
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

pid_t Spawn(std::vector<std::string> command, std::vector<std::string> environment, int out,
            int err) {
  std::vector<char*> arguments = Pointers(command), variables = Pointers(environment);
  pid_t pid = fork();
  if (pid != 0) return pid;
  int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  dup2(out, 1);
  dup2(err, 2);
  execvpe(arguments[0], arguments.data(), variables.data());
  _exit(127);
}

// Reads both pipes until both ends are closed or the deadline; false at the deadline.
bool ReadPipes(int out, int err, Finished* finished, Time deadline) {
  pollfd pipes[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
  std::string* texts[2] = {&finished->out, &finished->err};
  while (pipes[0].fd >= 0 || pipes[1].fd >= 0) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (poll(pipes, 2, static_cast<int>(left.count())) <= 0) continue;
    for (int i = 0; i < 2; ++i) {
      if (pipes[i].fd < 0 || pipes[i].revents == 0) continue;
      char buffer[65536];
      ssize_t n = read(pipes[i].fd, buffer, sizeof buffer);
      if (n > 0) {
        texts[i]->append(buffer, static_cast<size_t>(n));
      } else if (n == 0 || errno != EINTR) {
        pipes[i].fd = -1;
      }
    }
  }
  return true;
}

std::string ReadProc(pid_t pid, const char* file) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/" + file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Fields of /proc/PID/stat after the name, which may hold spaces: state, parent, ...
std::vector<std::string> StatFields(pid_t pid) {
  std::string stat = ReadProc(pid, "stat");
  size_t end = stat.rfind(')');
  std::vector<std::string> fields;
  if (end == std::string::npos) return fields;
  for (size_t at = end + 2; at < stat.size();) {
    size_t space = std::min(stat.find(' ', at), stat.size());
    fields.push_back(stat.substr(at, space - at));
    at = space + 1;
  }
  return fields;
}

std::vector<pid_t> Descendants(pid_t of) {
  std::multimap<pid_t, pid_t> children;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    std::vector<std::string> fields = StatFields(pid);
    if (fields.size() > 1 && fields[0] != "Z") children.emplace(std::atoi(fields[1].c_str()), pid);
  }
  std::vector<pid_t> found = {of};
  for (size_t i = 0; i < found.size(); ++i) {
    auto [begin, end] = children.equal_range(found[i]);
    for (auto it = begin; it != end; ++it) found.push_back(it->second);
  }
  found.erase(found.begin());
  return found;
}

}  // namespace

Finished Run(const std::vector<std::string>& command,
             const std::map<std::string, std::string>& environment, std::chrono::seconds timeout) {
  Finished finished;
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return finished;
  Time deadline = std::chrono::steady_clock::now() + timeout;
  pid_t pid = Spawn(command, EnvironmentWith(environment), out[1], err[1]);
  close(out[1]);
  close(err[1]);
  finished.timed_out = !ReadPipes(out[0], err[0], &finished, deadline);
  if (finished.timed_out) kill(pid, SIGKILL);
  close(out[0]);
  close(err[0]);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return finished;
}

pid_t Start(const std::vector<std::string>& command,
            const std::map<std::string, std::string>& environment, const fs::path& log) {
  int fd = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t pid = Spawn(command, EnvironmentWith(environment), fd, fd);
  close(fd);
  return pid;
}

void AdoptOrphans() {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void KillDescendants() {
  for (int round = 0; round < 200; ++round) {
    for (pid_t pid : Descendants(getpid())) kill(pid, SIGKILL);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (Descendants(getpid()).empty()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

std::vector<pid_t> DescendantsNamed(pid_t of, const std::string& program) {
  std::vector<pid_t> found;
  for (pid_t pid : Descendants(of)) {
    std::error_code error;
    fs::path exe = fs::read_symlink("/proc/" + std::to_string(pid) + "/exe", error);
    if (!error && exe.filename() == program) found.push_back(pid);
  }
  return found;
}

std::string EnvironmentOf(pid_t pid, const std::string& name) {
  std::string all = ReadProc(pid, "environ");
  for (size_t at = 0; at < all.size();) {
    std::string entry = all.c_str() + at;
    if (entry.starts_with(name + "=")) return entry.substr(name.size() + 1);
    at += entry.size() + 1;
  }
  return "";
}

bool IsAlive(pid_t pid) {
  // A killed process holds its ports and locks until the last of its threads has ended.
  constexpr size_t kState = 0, kThreads = 17;
  std::vector<std::string> fields = StatFields(pid);
  return fields.size() > kThreads && (fields[kState] != "Z" || fields[kThreads] != "1");
}

}  // namespace attune::cluster
