#include "worker/trainer/judge.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/utf8.h"

extern char** environ;

namespace attune::trainer {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;

constexpr size_t kWordsMax = 1000;  // of standard error, in a failure

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Fd() { Close(); }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

// A judge that reads nothing must not end us.
class WithoutSigpipe {
 public:
  WithoutSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~WithoutSigpipe() {
    const timespec now{};
    while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_, before_;
};

struct Running {
  pid_t pid = -1;
  Fd in, out, errors, ended;  // its three streams; readable once it has ended

  // Kills its group and reaps it; its status.
  int End() {
    kill(-pid, SIGKILL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    pid = -1;
    return status;
  }
  ~Running() {
    if (pid > 0) End();
  }
};

Result<std::array<Fd, 2>> Pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "make a pipe");
  return std::array<Fd, 2>{Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> Environment() {
  std::vector<char*> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("ATTUNE_")) kept.push_back(*entry);
  }
  kept.push_back(nullptr);
  return kept;
}

Status Start(const std::vector<std::string>& command, Running* running) {
  ATTUNE_ASSIGN_OR_RETURN(auto in, Pipe());
  ATTUNE_ASSIGN_OR_RETURN(auto out, Pipe());
  ATTUNE_ASSIGN_OR_RETURN(auto errors, Pipe());
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_adddup2(&files, in[0].get(), 0);
  posix_spawn_file_actions_adddup2(&files, out[1].get(), 1);
  posix_spawn_file_actions_adddup2(&files, errors[1].get(), 2);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  std::vector<char*> environment = Environment();
  const int error = posix_spawnp(&running->pid, arguments[0], &files, &attributes, arguments.data(),
                                 environment.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    running->pid = -1;
    const std::string message = "cannot run " + command[0] + ": " + std::strerror(error);
    return error == EAGAIN || error == ENOMEM ? Internal(message) : FailedPrecondition(message);
  }
  running->in = std::move(in[1]);
  running->out = std::move(out[0]);
  running->errors = std::move(errors[0]);
  running->ended = Fd(static_cast<int>(syscall(SYS_pidfd_open, running->pid, 0)));
  fcntl(running->in.get(), F_SETFL, O_NONBLOCK);
  fcntl(running->out.get(), F_SETFL, O_NONBLOCK);
  fcntl(running->errors.get(), F_SETFL, O_NONBLOCK);
  return running->ended.open() ? Status() : ErrnoStatus(errno, "pidfd_open");
}

// Closes the input when all is written, or nobody reads it.
void WriteSome(Fd& in, std::string_view* rest) {
  const ssize_t written = write(in.get(), rest->data(), rest->size());
  if (written > 0) rest->remove_prefix(static_cast<size_t>(written));
  const bool broken = written < 0 && errno != EAGAIN && errno != EINTR;
  if (rest->empty() || broken) in.Close();
}

// False at the end of the output.
bool ReadSome(const Fd& out, std::string* output) {
  char piece[4096];
  const ssize_t count = read(out.get(), piece, sizeof piece);
  if (count > 0) output->append(piece, static_cast<size_t>(count));
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

// What is there now, as far as a pipe holds; false at the end of it.
bool ReadWhatIsThere(const Fd& from, std::string* text) {
  constexpr int kPieces = 16;
  for (int piece = 0; piece < kPieces; ++piece) {
    const size_t before = text->size();
    if (!ReadSome(from, text)) return false;
    if (text->size() == before) break;
  }
  return true;
}

// Its standard error becomes ours, and its last words are kept.
bool Overhear(const Fd& errors, std::string* words) {
  std::string heard;
  const bool more = ReadWhatIsThere(errors, &heard);
  (void)!write(STDERR_FILENO, heard.data(), heard.size());
  words->append(heard);
  if (words->size() > kWordsMax) words->erase(0, words->size() - kWordsMax);
  return more;
}

struct Said {
  std::string output, words;
};

// Until it has ended and all that it wrote before is read.
Status Converse(Running& running, const std::string& input, const JudgeLimits& limits, Said* said) {
  const Clock::time_point deadline = Clock::now() + limits.deadline;
  std::string_view rest = input;
  bool reading = true, hearing = true, ended = false;
  while (!ended) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) {
      return FailedPrecondition("took longer than " +
                                std::to_string(limits.deadline.count() / 1000) + " s");
    }
    std::array<pollfd, 4> fds = {{{running.ended.get(), POLLIN, 0},
                                  {reading ? running.out.get() : -1, POLLIN, 0},
                                  {running.in.get(), POLLOUT, 0},
                                  {hearing ? running.errors.get() : -1, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return ErrnoStatus(errno, "poll");
    }
    if (fds[2].revents != 0) WriteSome(running.in, &rest);
    ended = fds[0].revents != 0;
    if (hearing && (fds[3].revents != 0 || ended)) {
      hearing = Overhear(running.errors, &said->words);
    }
    if (reading && (fds[1].revents != 0 || ended)) {
      reading = ReadWhatIsThere(running.out, &said->output);
    }
    if (said->output.size() > limits.output_bytes_max) {
      return FailedPrecondition("printed more than " + std::to_string(limits.output_bytes_max) +
                                " bytes; it must print one number");
    }
  }
  return Status();
}

// The judge's end if it is none with a number, else OK.
Status CheckEnd(int status) {
  if (WIFSIGNALED(status)) {
    return FailedPrecondition("was killed by signal " + std::to_string(WTERMSIG(status)));
  }
  if (WEXITSTATUS(status) != 0) {
    return FailedPrecondition("ended with exit code " + std::to_string(WEXITSTATUS(status)));
  }
  return Status();
}

std::string_view Trimmed(std::string_view text) {
  constexpr char kSpace[] = " \t\r\n";
  text = text.substr(std::min(text.find_first_not_of(kSpace), text.size()));
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

Result<double> ReadNumber(std::string_view output) {
  const std::string_view text = Trimmed(output);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (whole && value >= 0 && value <= 1) return value;
  return FailedPrecondition("printed '" + std::string(text.substr(0, 100)) +
                            "'; it must print one number from 0 to 1");
}

}  // namespace

Result<JudgeCommands> ReadJudgeCommands(const std::string& json) {
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  JudgeCommands commands;
  bool right = parsed.is_object();
  for (const auto& [name, command] : parsed.items()) {
    if (!right) break;
    right = command.is_array() && !command.empty();
    for (const Json& word : command) {
      right = right && word.is_string();
      if (right) commands[name].push_back(word.get<std::string>());
    }
  }
  if (!right) return InvalidArgument("not an object of lists of strings: " + json.substr(0, 200));
  return commands;
}

Result<double> RunJudge(const std::vector<std::string>& command, const std::string& prompt,
                        const std::string& reference, const std::string& answer,
                        const JudgeLimits& limits) {
  const Json question = {{"prompt", prompt}, {"reference", reference}, {"answer", answer}};
  const std::string input = question.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  const WithoutSigpipe without_sigpipe;
  Running running;
  ATTUNE_RETURN_IF_ERROR(Start(command, &running));
  Said said;
  Status status = Converse(running, input, limits, &said);
  if (status.ok()) status = CheckEnd(running.End());
  Result<double> score = status.ok() ? ReadNumber(said.output) : Result<double>(status);
  if (score.ok() || said.words.empty()) return score;
  return Status(score.status().code(), score.status().message() + "; on standard error: " +
                                           ToValidUtf8(Trimmed(said.words)));
}

std::map<std::string, engine::Judge> MakeJudges(const JudgeCommands& commands) {
  std::map<std::string, engine::Judge> judges;
  for (const auto& [name, command] : commands) {
    judges[name] = [command](const std::string& prompt, const std::string& reference,
                             const std::string& answer) {
      return RunJudge(command, prompt, reference, answer);
    };
  }
  return judges;
}

}  // namespace attune::trainer
