#pragma once

// A whole cluster in one thread with a fake clock: the real controller and store, and plain
// imitations of workers and trainers that follow the protocol. A test drives it step by step.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/schema.h"

namespace attune::jobs {

class FakeCluster final : public launching::Launcher,
                          public launching::WorkerLink,
                          public Background,
                          public Telemetry,
                          public Artifacts {
 public:
  struct FakeTrainer {
    v1::StartTrainer start;
    std::string node;
    bool attached = false;
    bool hello_sent = false;
    std::optional<v1::TrainerTask> task;
    std::string last_task_id;
    uint32_t step = 0, resumed_from = 0;
    bool stop = false;
    bool hangs = false;  // its process and its stream live
    uint64_t next_sequence = 1;
    std::vector<v1::TrainerMessage> kept;  // not acknowledged
    size_t sent = 0;                       // of kept, on this stream
    std::vector<v1::TrainerMessage> acknowledged;
  };

  FakeCluster();
  ~FakeCluster() override;

  // The coordinator's side.
  void StartController();
  void StopController();  // as kill -9: nothing is told to anybody
  Controller& controller() { return *controller_; }
  const std::filesystem::path& storage() const { return folder_; }
  v1::Job Job(const std::string& id);
  // In order, repetitions once.
  std::vector<std::string> EventTypes(const std::string& id, const std::string& kind = "job");
  int CountEvents(const std::string& id, const std::string& type);
  std::string Output(const std::string& id);
  void Execute(const std::string& statement);  // on the state database
  bool HasCheckpoints(const std::string& id) const;
  std::vector<Event> Events(const std::string& kind, const std::string& id);
  std::filesystem::path OutputFile(const std::string& id);
  v1::SubmitJobRequest TrainRequest(uint32_t ranks_min, uint32_t ranks_max, uint32_t steps);
  std::string Submit(uint32_t ranks, uint32_t steps);
  // A job that answers the prompts "one" and "two"; the answer of Submit.
  v1::Job SubmitGenerate();

  // The workers' side.
  // Somebody sets the wall clock.
  void StepWallClock(Duration by) { clock_.step += by; }
  void AddWorker(const std::string& name, uint32_t slots, uint64_t memory_bytes = 0);
  void KillWorker(const std::string& name);  // with its trainers
  void KillTrainer(const std::string& id, int signal);
  void ExitTrainer(const std::string& id, int code);
  std::map<std::string, std::string> troubled_nodes;  // what they say in heartbeats
  std::set<std::string> broken_nodes;                 // their workers cannot start a trainer
  void FailTask(const std::string& id, v1::TaskFailed::Kind kind, const std::string& message);
  FakeTrainer* Trainer(const std::string& id);
  // Its next stream carries what was acknowledged once more.
  void ForgetAcknowledgements(const std::string& id);
  size_t running() const { return trainers_.size(); }

  // One tenth of a second of everybody's life.
  void Step();
  // Steps until done, at most seconds of fake time.
  bool RunUntil(const std::function<bool()>& done, int seconds = 120);
  bool RunUntilState(const std::string& id, v1::Job::State state, int seconds = 120);

  // Knobs.
  uint32_t checkpoint_every = 5;
  double step_seconds = 0.25;   // that a step took, by its report
  std::string prepare_warning;  // what preparing warns of
  Status registering_fails;     // what preparing an output for the registry ends with
  int registering_tried = 0;
  bool trainers_attach = true;
  bool steps_flow = true;    // trainers make progress
  bool reports_flow = true;  // what they make arrives
  uint64_t free_bytes = 1 << 30;
  std::filesystem::path free_bytes_asked_of;
  int commits_left = -1;  // with events; at 0 the coordinator says nothing any more: it has died
  std::string last_words = "last words";  // in the logs of trainers
  uint64_t memory_peak_bytes = 0;         // of trainers that end
  int stalls_told = 0;
  Duration next_commit_takes{};  // one commit with events, that the coordinator waits for
  std::vector<v1::Job::State> ended_told;
  std::map<std::string, int> lost_told;  // by cause
  int steps_told = 0;
  double seconds_late = 0;
  std::set<std::string> registered_jobs, placed_jobs;
  std::string deleted_dataset;     // "name@version": after it was looked up
  std::set<std::string> unlisted;  // trainers that live on, but not in their workers' lists
  bool turn_away_report = false;   // the next one, as when too many are pending

 private:
  void Start(const std::string& node, const v1::StartTrainer& start) override;
  void Stop(const std::string& node, const v1::StopTrainer& stop) override;
  void Send(const std::string& node, const v1::WorkerCommand& command) override;
  void Disconnect(const std::string& node) override;
  void SendTrainer(const std::string& id, const v1::TrainerCommand& command);
  void DisconnectTrainer(const std::string& id);
  void Run(std::function<void()> work, std::function<void()> done) override;
  void OnStepApplied(const v1::MetricPoint&) override { ++steps_told; }
  void OnStall() override { ++stalls_told; }
  void OnAttemptLost(std::string_view cause) override { ++lost_told[std::string(cause)]; }
  void OnJobEnded(const v1::Job& job) override { ended_told.push_back(job.state()); }
  void OnLate(double seconds) override { seconds_late += seconds; }
  Result<v1::ModelVersion> GetModel(const std::string& reference) override;
  Result<v1::DatasetVersion> GetDataset(const std::string& reference) override;
  Status CheckDataset(Transaction&, const std::string& reference) override {
    return reference == deleted_dataset ? NotFound("no dataset " + reference) : Status();
  }
  Result<models::PreparedOutput> PrepareOutput(
      const std::string& name, const std::filesystem::path& folder, const v1::Lineage& lineage,
      const std::map<std::string, double>& metrics) override;
  Result<v1::ModelVersion> RegisterOutput(Transaction& transaction,
                                          const models::PreparedOutput& output) override;
  Status PlaceOutput(const v1::ModelVersion& version) override {
    placed_jobs.insert(version.lineage().job_id());
    return Status();
  }

  struct FakeWorker {
    uint32_t slots = 0;
    uint64_t memory_bytes = 0;
    bool registered = false;
    std::chrono::steady_clock::time_point next_heartbeat{};
    std::vector<v1::TrainerExited> exits;  // not acknowledged
  };
  bool dead() const { return commits_left == 0; }
  void StepWorkers();
  void StepTrainer(FakeTrainer& trainer);
  void Work(FakeTrainer& trainer);
  void Report(FakeTrainer& trainer, v1::TrainerMessage message);
  void SayProgress(const FakeTrainer& trainer);
  void End(const std::string& id, bool signaled, int code);

  std::filesystem::path folder_;
  struct SteppedClock final : public FakeClock {
    using FakeClock::FakeClock;
    TimePoint Now() override { return FakeClock::Now() + step; }
    Duration step{};
  };
  SteppedClock clock_{TimePoint(std::chrono::seconds(1'000'000))};
  std::unique_ptr<Database> database_;
  std::unique_ptr<rendezvous::KeyValueStore> store_;
  security::RunTokens tokens_;
  std::unique_ptr<Controller> controller_;
  std::map<std::string, FakeWorker> workers_;
  std::map<std::string, FakeTrainer> trainers_;
  std::vector<std::function<void()>> later_;
  struct Link final : public TrainerLink {
    explicit Link(FakeCluster* cluster) : cluster(cluster) {}
    void Send(const std::string& id, const v1::TrainerCommand& command) override {
      cluster->SendTrainer(id, command);
    }
    void Disconnect(const std::string& id) override { cluster->DisconnectTrainer(id); }
    FakeCluster* const cluster;
  };
  Link link_{this};
};

}  // namespace attune::jobs
