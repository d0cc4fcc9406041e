#pragma once

// Starts trainers, stops them, and knows how each ended. One thread owns all child processes: they
// die with it (see process.h), and it sees an exit at once, through the process's descriptor.
//
// A trainer that has ended is kept until its exit is acknowledged, so that no exit is lost while
// the coordinator is away.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/mutex.h"
#include "common/base/status.h"
#include "worker/agent/process.h"

namespace attune::worker {

// "<job id>-g<generation>-r<rank>" and where it runs.
struct TrainerIdentity {
  std::string trainer_id;
  std::string job_id;
  uint32_t generation = 0;
  uint32_t rank = 0;
  uint32_t slot = 0;
};

struct RunningTrainer {
  TrainerIdentity identity;
  pid_t pid = 0;  // 0: about to start, or ended and not acknowledged
};

struct TrainerExit {
  std::string trainer_id;
  ExitStatus status;
  std::string start_error;            // not empty: it never ran, and status says nothing
  std::vector<std::string> log_tail;  // its last 20 lines
};

class Supervisor {
 public:
  struct Options {
    uint32_t slots = 1;
    std::filesystem::path log_folder;  // must exist; a trainer's log is TRAINER_ID.log in it
  };
  // Called on the supervisor's thread, with no lock held.
  struct Events {
    std::function<void(const RunningTrainer&)> started;
    std::function<void(const TrainerExit&)> exited;
  };

  Supervisor(Options options, Events events);
  ~Supervisor();

  Status Start();
  // SIGTERM to all trainers, SIGKILL after grace; returns when all are reaped. Their exits stay
  // readable. Safe to repeat.
  void Shutdown(std::chrono::milliseconds grace);

  // Both return at once; what becomes of it is seen in exits. A trainer id that is known already is
  // left as it is: the coordinator may repeat itself. A slot whose trainer was told to stop is
  // waited for; one whose trainer was not is an error.
  void StartTrainer(const TrainerIdentity& identity, SpawnRequest request);
  void StopTrainer(const std::string& trainer_id, std::chrono::milliseconds grace);

  // Also those about to start and those whose exit is not acknowledged: for the coordinator they
  // are there until it knows better.
  std::vector<RunningTrainer> Trainers() const;
  size_t running() const;  // processes
  std::vector<TrainerExit> Exits() const;
  void AcknowledgeExit(const std::string& trainer_id);

  std::filesystem::path LogPath(const std::string& trainer_id) const;

 private:
  enum class Phase { kStarting, kRunning, kExited };
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Trainer {
    TrainerIdentity identity;
    Phase phase = Phase::kStarting;
    SpawnRequest request;                  // kStarting
    Child child;                           // kRunning; only thread_ reaps it
    std::optional<TrainerExit> exit;       // kExited
    std::optional<SteadyTime> stop_asked;  // SIGTERM is to be sent, or was
    bool term_sent = false;
    SteadyTime kill_at = SteadyTime::max();
  };

  void Run();
  void StartPending();
  void SendSignals();
  void WaitForSomething();
  void ReapEnded();
  void Finish(TrainerExit exit);
  std::string RefuseStart(const TrainerIdentity& identity) const REQUIRES(mutex_);
  const Trainer* RunningIn(uint32_t slot) const REQUIRES(mutex_);
  bool Done() const;
  void Wake();

  const Options options_;
  const Events events_;
  UniqueFd wake_;
  std::thread thread_;

  mutable Mutex mutex_;
  std::map<std::string, Trainer> trainers_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
};

}  // namespace attune::worker
