#pragma once

// The one owner of every job's state. It takes what happened (requests, messages of workers and
// trainers, the passing of time), decides by pure functions (state_machine.h, retry.h,
// scheduling/placement.h), commits the change with its events in one transaction, publishes it to
// its own memory, and only then tells workers and trainers. So a crash at any point leaves a state
// from which Recover goes on.
//
// No threads and no locks: all calls come from one thread (ControlLoop, or a test).
//
// Terms: an attempt is a generation of a job: its trainers, one per rank, from placement to the
// end. A report is a trainer's numbered message; it is applied once and acknowledged when
// committed.

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/jobs.pb.h"
#include "attune/v1/nodes.pb.h"
#include "attune/v1/trainer.pb.h"
#include "attune/v1/worker.pb.h"
#include "common/base/clock.h"
#include "common/base/hash.h"
#include "coordinator/jobs/ports.h"
#include "coordinator/jobs/record.h"
#include "coordinator/jobs/retry.h"
#include "coordinator/jobs/tasks.h"
#include "coordinator/jobs/watch_time.h"
#include "coordinator/launching/launcher.h"
#include "coordinator/launching/node_table.h"
#include "coordinator/rendezvous/key_value_store.h"
#include "coordinator/scheduling/placement.h"
#include "coordinator/security/tokens.h"

namespace attune::jobs {

struct ControllerOptions {
  std::filesystem::path storage;
  std::string cluster_id;  // storage/cluster-id holds it
  launching::LivenessOptions liveness;
  std::chrono::milliseconds attach_timeout{120'000};  // placed to all trainers dialled in
  std::chrono::milliseconds reattach_timeout{
      30'000};  // a stream, or after a restart a worker, is away
  std::chrono::milliseconds missing_timeout{10'000};  // a worker does not list a trainer we know
  std::chrono::milliseconds peer_lost_wait{5'000};    // for the cause of a failed collective
  std::chrono::milliseconds resend_wait{2'000};       // an idle trainer's reports come first
  std::chrono::milliseconds pause_timeout{120'000};   // of rank 0's silence, once asked to pause
  std::chrono::milliseconds pause_limit{1'800'000};   // from being asked to pause to the checkpoint
  std::chrono::milliseconds progress_timeout{3'600'000};  // of all ranks together
  std::chrono::milliseconds output_wait{60'000};          // for a storage that does not take output
  std::chrono::milliseconds exit_grace{10'000};           // between "exit" and a signal
  std::chrono::milliseconds space_check_interval{3'000};
  std::chrono::milliseconds forget_lost_after{86'400'000};
  std::chrono::milliseconds keep_checkpoints{7 * 86'400'000};  // of jobs that did not succeed
  std::chrono::seconds space_retry_min{300};  // tried anyway: a quota does not show as free space
  uint32_t kill_grace_seconds = 5;            // between SIGTERM and SIGKILL
  RetryPolicy retry;                          // max_restarts comes from each spec
  uint64_t seed = 1;                          // of the jitter
};

// Everything that the controller uses; all outlive it.
struct ControllerPorts {
  Database* database = nullptr;
  Clock* clock = nullptr;
  Artifacts* artifacts = nullptr;
  launching::Launcher* launcher = nullptr;
  launching::WorkerLink* workers = nullptr;
  TrainerLink* trainers = nullptr;
  Background* background = nullptr;
  Telemetry* telemetry = nullptr;
  rendezvous::KeyValueStore* rendezvous = nullptr;
  security::RunTokens* tokens = nullptr;
  FreeBytes free_bytes;
};

class Controller {
 public:
  Controller(ControllerOptions options, ControllerPorts ports);
  ~Controller();

  // Takes up what the store holds. Before anything else.
  Status Recover();

  // Users. Each is safe to repeat with the same request id.
  Result<v1::Job> Submit(const v1::SubmitJobRequest& request);
  Result<v1::Job> Cancel(const v1::CancelJobRequest& request);
  Result<v1::Job> Pause(const v1::PauseJobRequest& request);
  Result<v1::Job> Resume(const v1::ResumeJobRequest& request);
  Result<v1::JobExplanation> Explain(const std::string& id_or_name);
  std::vector<v1::Node> Nodes();

  // Workers. Answers go through WorkerLink.
  void OnWorkerRegistered(const v1::RegisterWorker& worker, const std::string& address);
  void OnHeartbeat(const std::string& node, const v1::Heartbeat& heartbeat);
  void OnWorkerDetached(const std::string& node) { nodes_.Detach(node); }
  void OnTrainerExited(const std::string& node, const v1::TrainerExited& exited);

  // Trainers. Answers go through TrainerLink.
  void OnTrainerHello(const v1::TrainerHello& hello);
  void OnTrainerMessage(const std::string& trainer_id, const v1::TrainerMessage& message);
  void OnTrainerDetached(const std::string& trainer_id);

  // Commits reports that came since the last call. After each batch of messages.
  void Flush();
  // What time brings: deadlines, liveness, scheduling. Often, at least once a second.
  void Tick();

  size_t pending_reports() const { return pending_.size(); }

 private:
  using Time = std::chrono::steady_clock::time_point;

  // What a trainer last said of its task. In memory only: a restart counts as a sign of life.
  struct Progress {
    Time at{};
    std::string phase;  // empty: nothing yet
    uint32_t step = 0;
    double done = 0, own = 0, total = 0;  // as TaskProgress
  };
  struct Trainer {
    TrainerRecord record;
    uint64_t taken = 0;  // newest report that was taken in, committed or not
    bool attached = false;
    Time detached_since{};
    std::optional<Time> missing_since;  // its worker does not list it
    std::optional<Time> resend_at;      // give it its task again unless it reports
    std::optional<Time> kill_at;        // told to exit
    Progress progress;
  };
  struct OpenJob {
    JobRecord record;
    Time attempt_since{};                   // placed, or recovered
    Time task_since{};                      // the phase's tasks were given, or recovered
    std::optional<Time> peer_lost_since;    // a rank said so; its cause is waited for
    Time pause_since{};                     // asked to, or recovered
    std::chrono::milliseconds step_took{};  // the last that was reported
    bool registering = false;               // in the background
    uint32_t register_tries = 0;            // that failed
    Time register_at{};                     // not before
    std::optional<Time> output_failing_since;
    std::string shown_phase;               // of rank 0's progress
    std::optional<Time> prepare_since;     // the first progress of preparing that was seen, and
    double prepare_from = 0;               // what was done by then
    Time prepare_shown{};                  // its progress was committed last
    std::optional<scheduling::Wait> wait;  // why it was not placed last time
  };
  struct Report {
    std::string trainer_id;
    v1::TrainerMessage message;
  };
  // What one commit of reports adds to a job besides its record.
  struct Batch {
    std::vector<v1::MetricPoint> points;
    std::string output;
  };
  // The request that a change answers, so that its repetition gets the same answer.
  struct RequestKey {
    std::string id, method, content;
  };
  // A change of one job, with all that belongs into the same transaction.
  struct Change {
    JobRecord record;
    std::vector<TrainerRecord> trainers;
    struct Line {
      std::string type, message;  // empty: the job's reason
    };
    std::vector<Line> events;
    // Before all else: an error is the answer to who wants the change, not that of a failing store.
    std::function<Status(Transaction&, const JobRecord&)> check;
    std::function<Status(Transaction&, JobRecord*)> also;  // before the events
    std::optional<RequestKey> request;
  };
  // How an attempt ends.
  struct Ending {
    JobEvent event = JobEvent::kFailed;
    std::string reason;
    std::string event_type;  // of the log
    std::optional<Failure> incident;
    bool counted = false;              // as a failure of the job's own
    std::vector<std::string> avoided;  // nodes, from now on
    TimePoint not_before{};
    PauseCause pause_cause = PauseCause::kNone;
    bool orderly = false;  // trainers are asked first, signalled later
    std::vector<std::string> exited_trainers;
    std::function<Status(Transaction&, JobRecord*)> also;
    std::optional<RequestKey> request;
  };

  // controller.cc
  Status Commit(Change change);
  void Look();
  void BoundWaits();
  Status ApplyEvent(JobRecord* record, JobEvent event, const std::string& reason);
  Trainer* FindTrainer(const std::string& id);
  OpenJob* FindOpenJob(const std::string& id);
  void Forget(const std::string& trainer_id);
  std::vector<Trainer*> TrainersOf(const JobRecord& record);  // live, of its current generation

  // requests.cc
  Result<std::optional<v1::Job>> EarlierAnswer(const RequestKey& key);
  Result<v1::Job> Mutate(const RequestKey& key, const std::string& id_or_name, JobEvent event,
                         const std::function<Status(OpenJob&)>& act);
  Status CheckSubmit(const v1::SubmitJobRequest& request, v1::Job* job);
  Status ResolveInputs(v1::Job* job);
  Status CheckRanks(const v1::Job& job);
  Result<OpenJob*> Reopen(const std::string& id);

  // explaining.cc; open: null when it is not
  void ExplainActive(const JobRecord& record, const OpenJob* open, v1::JobExplanation* answer);

  // pausing.cc
  Status PauseActive(OpenJob& job, const RequestKey& key);
  Status ResumePausing(OpenJob& job, const RequestKey& key);
  std::string PauseOverdue(const OpenJob& job, Time now);

  // attempts.cc
  void Schedule();
  scheduling::ClusterView View(Time now);
  void StartAttempt(OpenJob& job, const scheduling::Placement& placement);
  void SetWait(OpenJob& job, const scheduling::Wait& wait);
  void Advance(const std::string& job_id);
  // The record moved into the phase, still to be committed.
  static Change IntoPhase(const JobRecord& record, Phase phase, TimePoint now);
  void StartWork(OpenJob& job);
  void StartRegistering(OpenJob& job);
  void FinishRegistering(const std::string& job_id, Result<models::PreparedOutput> output);
  void RegisteringFailed(OpenJob& job, const Status& status);
  void RegisterLater(OpenJob& job, const Status& status);
  void SendTask(OpenJob& job, Trainer& trainer);
  Result<v1::ModelFiles> FilesOfModel(const std::string& name);
  Result<TaskFiles> ResolveFiles(const v1::Job& job);
  std::filesystem::path CheckpointFolder(const JobRecord& record) const;

  // preparing.cc
  void StartPreparing(OpenJob& job);
  bool IsPrepared(const JobRecord& record);
  struct Prepared {
    std::string phase;
    double done = 0, total = 0;
  };
  Prepared SumPrepared(const JobRecord& record);
  void ShowPrepared(OpenJob& job);

  // endings.cc
  Status EndAttempt(OpenJob& job, Ending ending);
  // Of an attempt that was asked to pause.
  static Ending PauseEnding(const JobRecord& record, const std::string& reason);
  Status Fail(OpenJob& job, const Failure& failure,
              const std::vector<std::string>& exited_trainers = {});
  std::vector<std::string> NodesTooSmall(const v1::Job& job);
  void StopTrainer(Trainer& trainer, bool orderly, const std::string& reason);
  Status TrainerEnded(Trainer& trainer, const Failure& failure);
  bool IsOfCurrentAttempt(const TrainerRecord& trainer, const OpenJob& job) const;

  // reports.cc
  Status ApplyReports(OpenJob& job, const std::vector<const Report*>& reports);
  void ApplyReport(const v1::TrainerMessage& message, TrainerRecord* trainer, Change* change,
                   Batch* batch);
  Status WriteOutput(JobRecord* record, const std::string& bytes);
  void OutputNotWritten(OpenJob& job, const Status& status);
  void AcknowledgeReports(const std::string& trainer_id);
  Trainer* FailedTrainer(const JobRecord& record);
  bool TakeFailure(OpenJob& job);
  bool AwaitsCause(OpenJob& job);
  void OnProgress(const std::string& trainer_id, const v1::TaskProgress& progress);
  void NoteProgress(Trainer& trainer, const v1::TrainerMessage& message);

  // workers.cc
  void SeeRunning(const std::string& node,
                  const google::protobuf::RepeatedPtrField<v1::RunningTrainer>& running,
                  std::vector<std::string>* unknown);
  void LoseNode(const std::string& node);
  void ForgetNodes(Time now);
  void CheckTrainers(Time now);
  void CheckJobs(Time now);
  bool PeerIsAway(const OpenJob& job);
  struct Silence {
    Time since{};                    // the last progress of any rank
    const Trainer* first = nullptr;  // that has a task and fell silent first
    Time first_since{};
  };
  Silence SilenceOf(const OpenJob& job);
  bool FailStalled(OpenJob& job, Time now);
  std::chrono::milliseconds LossTime() const;
  void CheckSpace(Time now);
  void KeepHouse(Time now);
  // How long a job that found no space waits at most, after so many such pauses before.
  Duration SpaceRetry(uint32_t pauses_before) const {
    return options_.space_retry_min * (1 << std::min(pauses_before, 4u));
  }

  Time Now() const { return watch_.Now(); }

  const ControllerOptions options_;
  const ControllerPorts ports_;
  Random random_;
  WatchTime watch_;
  launching::NodeTable nodes_;
  std::map<std::string, OpenJob> jobs_;      // without a final state, by id
  std::map<std::string, Trainer> trainers_;  // not exited, by id
  std::vector<Report> pending_;
  Time next_space_check_{};
  std::string commit_error_;  // the last, so that it is logged once
  Time commit_error_logged_{};
  Time next_housekeeping_{};
};

}  // namespace attune::jobs
