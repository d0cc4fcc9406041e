#pragma once

// The coordinator's /metrics. Counters and histograms are fed by the job controller, after the
// transaction that they speak of has committed, and start at zero with the process, as Prometheus
// expects. Gauges of state are read at every scrape from a Snapshot of the store, so they are right
// after a restart too. Label values are bounded: states, slots and phases are fixed lists; jobs are
// those that the snapshot holds (active ones and the last kEndedJobs to end).

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace attune::metrics {

inline constexpr size_t kEndedJobs = 20;
inline constexpr size_t kActiveJobsMax =
    200;  // more active jobs than this have no series of their own

inline constexpr size_t kStreamsMax = 100;    // more streams than this have no series of their own
inline constexpr size_t kSchedulesMax = 200;  // nor have more schedules than this

// One TRAIN job that has been placed at least once.
struct JobSample {
  std::string id;
  std::string name;
  std::optional<double> train_loss;
  std::optional<double> validation_loss;
  bool running = false;             // has slots
  double seconds_since_placed = 0;  // first placement to now, or to the end of an ended job
  double seconds_applied = 0;       // sum over the job's applied steps; redone ones count once
};

// One schedule, or what is left of one that was deleted.
struct ScheduleSample {
  std::string name;
  std::map<std::string, uint64_t> updates;  // ended ones by final state, "FAILED": 2
  std::optional<double> next;               // when cron fires: seconds since 1970
  double gpu_seconds = 0;                   // slots times time, in the last seven days
  double open_seconds = 0;  // since its oldest update began that neither ended nor is watched
  bool problem = false;     // something of it is tried again and again
};

// One detector of a stream's newest measured window.
struct DriftSample {
  std::string detector, feature;
  double effect = 0;
};

struct StreamSample {
  std::string name;
  bool alarm = false;
  std::vector<DriftSample> detectors;
  bool problem = false;                 // something keeps it from going on
  uint64_t observed = 0, rejected = 0;  // rows, ever
};

// The cluster as the store says it is now.
struct Snapshot {
  // By kind and state, "TRAIN": {"RUNNING": 2}.
  std::map<std::string, std::map<std::string, uint64_t>> jobs;
  std::map<std::string, uint64_t> nodes;  // by state, "READY": 2
  uint64_t slots_free = 0;
  uint64_t slots_used = 0;
  double queue_oldest_seconds = 0;  // the longest wait of a job that is queued now
  std::optional<uint64_t> storage_bytes, storage_free_bytes;
  std::optional<double> certificate_expiry;  // seconds since 1970
  std::vector<JobSample> job_samples;
  std::vector<ScheduleSample> schedules;    // at most kSchedulesMax
  std::map<std::string, uint64_t> windows;  // of streams: "open", "waiting", "embedding"
  std::vector<StreamSample> streams;        // at most kStreamsMax
};

// Seconds of one optimizer step; a phase that was not measured is unset.
struct StepSample {
  uint64_t tokens = 0;
  std::optional<double> data, forward, backward, sync, optimizer;
};

class Metrics {
 public:
  // Called at a scrape from the server's threads, at most once a second; it must be thread-safe and
  // quick.
  using SnapshotFn = std::function<Result<Snapshot>()>;

  Metrics(std::string version, SnapshotFn snapshot);
  ~Metrics();

  // What the job controller tells. Thread-safe, never fails, never blocks for long.
  void OnJobPlaced(double queue_wait_seconds);  // from (re)entering the queue to its placement
  void OnStepApplied(const StepSample& step);   // a redone step counts again: it was work
  void OnStall();                               // an attempt ended because no rank got on
  void OnJobEnded(const std::string& kind, std::string_view state);
  void OnCommitFailed();
  void OnWindow(std::string_view state);       // a stream's window: measured, failed or unmeasured
  void OnAttemptLost(std::string_view cause);  // one of kLostCauses, else "other"
  void OnLate(double seconds);  // the controller stood still for longer than a heartbeat interval

  // Serves http://listen/metrics. Errors: the address is invalid or taken (kUnavailable).
  Status Start(const std::string& listen);
  // "host:port" with the port that was bound; empty before Start or after Shutdown.
  std::string address() const;
  void Shutdown();

  // The page itself, in Prometheus' text format.
  std::string Render() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace attune::metrics
