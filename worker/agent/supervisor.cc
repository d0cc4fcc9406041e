#include "worker/agent/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "worker/agent/log_tail.h"

namespace attune::worker {
namespace {

constexpr size_t kTailLines = 20;
constexpr size_t kTrainersMax = 4096;  // with the exits that nobody acknowledges

// It becomes a file name.
bool IsValidTrainerId(const std::string& id) {
  return !id.empty() && id.size() <= 128 && id[0] != '.' && id[0] != '-' &&
         std::all_of(id.begin(), id.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

std::string Describe(const TrainerExit& exit) {
  if (!exit.start_error.empty()) return "not started: " + exit.start_error;
  if (exit.status.signaled) {
    return std::string("killed by signal ") + std::to_string(exit.status.code) + " (SIG" +
           (sigabbrev_np(exit.status.code) ? sigabbrev_np(exit.status.code) : "?") + ")";
  }
  return "exit code " + std::to_string(exit.status.code);
}

}  // namespace

Supervisor::Supervisor(Options options, Events events)
    : options_(std::move(options)), events_(std::move(events)) {}

Supervisor::~Supervisor() {
  Shutdown(std::chrono::milliseconds(0));
}

Status Supervisor::Start() {
  wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return ErrnoStatus(errno, "eventfd");
  thread_ = std::thread([this] { Run(); });
  return Status();
}

void Supervisor::Shutdown(std::chrono::milliseconds grace) {
  const SteadyTime now = std::chrono::steady_clock::now();
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    for (auto& [id, trainer] : trainers_) {
      if (!trainer.stop_asked) trainer.stop_asked = now;
      trainer.kill_at = std::min(trainer.kill_at, now + grace);
    }
  }
  Wake();
  if (thread_.joinable()) thread_.join();
}

void Supervisor::StartTrainer(const TrainerIdentity& identity, SpawnRequest request) {
  {
    MutexLock lock(&mutex_);
    if (trainers_.contains(identity.trainer_id)) return;
    if (trainers_.size() >= kTrainersMax) {
      spdlog::error("trainer {} dropped: {} exits wait to be acknowledged", identity.trainer_id,
                    trainers_.size());
      return;
    }
    Trainer& trainer = trainers_[identity.trainer_id];
    trainer.identity = identity;
    trainer.request = std::move(request);
    trainer.request.log = LogPath(identity.trainer_id);
  }
  Wake();
}

void Supervisor::StopTrainer(const std::string& trainer_id, std::chrono::milliseconds grace) {
  const SteadyTime now = std::chrono::steady_clock::now();
  {
    MutexLock lock(&mutex_);
    auto it = trainers_.find(trainer_id);
    if (it == trainers_.end() || it->second.phase == Phase::kExited) return;
    if (!it->second.stop_asked) it->second.stop_asked = now;
    it->second.kill_at = std::min(it->second.kill_at, now + grace);
  }
  Wake();
}

std::vector<RunningTrainer> Supervisor::Trainers() const {
  MutexLock lock(&mutex_);
  std::vector<RunningTrainer> out;
  for (const auto& [id, trainer] : trainers_) {
    out.push_back({trainer.identity, std::max(0, trainer.child.pid)});
  }
  return out;
}

size_t Supervisor::running() const {
  MutexLock lock(&mutex_);
  return static_cast<size_t>(
      std::count_if(trainers_.begin(), trainers_.end(),
                    [](const auto& entry) { return entry.second.phase == Phase::kRunning; }));
}

std::vector<TrainerExit> Supervisor::Exits() const {
  MutexLock lock(&mutex_);
  std::vector<TrainerExit> out;
  for (const auto& [id, trainer] : trainers_) {
    if (trainer.exit) out.push_back(*trainer.exit);
  }
  return out;
}

void Supervisor::AcknowledgeExit(const std::string& trainer_id) {
  MutexLock lock(&mutex_);
  auto it = trainers_.find(trainer_id);
  if (it != trainers_.end() && it->second.phase == Phase::kExited) trainers_.erase(it);
}

std::filesystem::path Supervisor::LogPath(const std::string& trainer_id) const {
  return options_.log_folder / (trainer_id + ".log");
}

void Supervisor::Run() {
  while (!Done()) {
    SendSignals();
    StartPending();
    WaitForSomething();
    ReapEnded();
  }
}

bool Supervisor::Done() const {
  MutexLock lock(&mutex_);
  return stopping_ && std::all_of(trainers_.begin(), trainers_.end(), [](const auto& entry) {
           return entry.second.phase == Phase::kExited;
         });
}

const Supervisor::Trainer* Supervisor::RunningIn(uint32_t slot) const {
  for (const auto& [id, trainer] : trainers_) {
    if (trainer.phase == Phase::kRunning && trainer.identity.slot == slot) return &trainer;
  }
  return nullptr;
}

std::string Supervisor::RefuseStart(const TrainerIdentity& identity) const {
  if (stopping_) return "the worker is shutting down";
  if (!IsValidTrainerId(identity.trainer_id)) return "its id is not a file name";
  if (identity.slot >= options_.slots) {
    return "slot " + std::to_string(identity.slot) + " does not exist; this worker has " +
           std::to_string(options_.slots);
  }
  if (trainers_.at(identity.trainer_id).stop_asked) return "stopped before it started";
  if (const Trainer* other = RunningIn(identity.slot)) {
    return "slot " + std::to_string(identity.slot) + " is still used by " +
           other->identity.trainer_id;
  }
  return "";
}

void Supervisor::StartPending() {
  while (true) {
    TrainerIdentity identity;
    SpawnRequest request;
    std::string refusal;
    {
      MutexLock lock(&mutex_);
      auto it = trainers_.begin();
      for (; it != trainers_.end(); ++it) {
        if (it->second.phase != Phase::kStarting) continue;
        const Trainer* other = RunningIn(it->second.identity.slot);
        const bool waits = other != nullptr && other->stop_asked && !it->second.stop_asked;
        if (!waits) break;
      }
      if (it == trainers_.end()) return;
      identity = it->second.identity;
      request = std::move(it->second.request);
      refusal = RefuseStart(identity);
    }
    if (refusal.empty()) {
      auto child = Spawn(request);
      if (child.ok()) {
        RunningTrainer running{identity, child->pid};
        {
          MutexLock lock(&mutex_);
          Trainer& trainer = trainers_.at(identity.trainer_id);
          trainer.child = std::move(child).value();
          trainer.phase = Phase::kRunning;
        }
        spdlog::info("trainer {} started pid={} slot={}", identity.trainer_id, running.pid,
                     identity.slot);
        events_.started(running);
        continue;
      }
      refusal = child.status().message();
    }
    TrainerExit exit;
    exit.trainer_id = identity.trainer_id;
    exit.start_error = refusal;
    Finish(std::move(exit));
  }
}

void Supervisor::SendSignals() {
  const SteadyTime now = std::chrono::steady_clock::now();
  MutexLock lock(&mutex_);
  for (auto& [id, trainer] : trainers_) {
    if (trainer.phase != Phase::kRunning || !trainer.stop_asked) continue;
    if (trainer.kill_at <= now) {
      SignalGroup(trainer.child, SIGKILL);
      trainer.kill_at = SteadyTime::max();
      trainer.term_sent = true;
    } else if (!trainer.term_sent) {
      SignalGroup(trainer.child, SIGTERM);
      trainer.term_sent = true;
    }
  }
}

void Supervisor::WaitForSomething() {
  std::vector<pollfd> waits{{wake_.get(), POLLIN, 0}};
  SteadyTime until = SteadyTime::max();
  {
    MutexLock lock(&mutex_);
    for (const auto& [id, trainer] : trainers_) {
      if (trainer.phase != Phase::kRunning) continue;
      waits.push_back({trainer.child.pidfd.get(), POLLIN, 0});
      until = std::min(until, trainer.kill_at);
    }
  }
  int timeout_ms = -1;
  if (until != SteadyTime::max()) {
    auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    timeout_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 60000));
  }
  poll(waits.data(), waits.size(), timeout_ms);
  uint64_t count;
  [[maybe_unused]] ssize_t got = read(wake_.get(), &count, sizeof(count));
}

void Supervisor::ReapEnded() {
  std::vector<TrainerExit> ended;
  {
    MutexLock lock(&mutex_);
    for (auto& [id, trainer] : trainers_) {
      if (trainer.phase != Phase::kRunning) continue;
      if (auto status = Reap(trainer.child)) {
        // It stays kRunning, without a process to signal, until its exit is recorded below.
        trainer.child = Child();
        ended.push_back({id, *status, "", {}});
      }
    }
  }
  for (TrainerExit& exit : ended) {
    exit.log_tail = ReadLogTail(LogPath(exit.trainer_id), kTailLines);
    Finish(std::move(exit));
  }
}

void Supervisor::Finish(TrainerExit exit) {
  spdlog::info("trainer {} ended: {}", exit.trainer_id, Describe(exit));
  {
    MutexLock lock(&mutex_);
    Trainer& trainer = trainers_.at(exit.trainer_id);
    trainer.phase = Phase::kExited;
    trainer.exit = exit;
  }
  events_.exited(exit);
}

void Supervisor::Wake() {
  const uint64_t one = 1;
  if (wake_.valid()) {
    [[maybe_unused]] ssize_t written = write(wake_.get(), &one, sizeof(one));
  }
}

}  // namespace attune::worker
