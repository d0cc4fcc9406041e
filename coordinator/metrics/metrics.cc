#include "coordinator/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>

#include "common/base/mutex.h"
#include "common/metrics/page.h"

namespace attune::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;

const Histogram::BucketBoundaries kWaitBuckets = {0.1, 0.5, 1,   2,    5,     10,   30,
                                                  60,  300, 900, 3600, 14400, 86400};
const Histogram::BucketBoundaries kPhaseBuckets = {0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1,
                                                   0.3,    1,      3,     10,    30,   100};

// Every state has a series from the start, so that a rate or an alert on it never meets a gap.
constexpr const char* kJobStates[] = {"QUEUED",    "PREPARING", "RUNNING",  "PAUSED",
                                      "SUCCEEDED", "FAILED",    "CANCELLED"};
constexpr const char* kTaskKinds[] = {"PLAN", "GENERATE", "EXPORT", "EVALUATE", "EMBED"};
constexpr const char* kFinalStates[] = {"SUCCEEDED", "FAILED", "CANCELLED"};
constexpr const char* kUpdateStates[] = {"PROMOTED", "KEPT",    "ROLLED_BACK",
                                         "FAILED",   "SKIPPED", "CANCELLED"};
constexpr const char* kLostCauses[] = {"invalid", "no_space", "no_memory",   "peer_lost",
                                       "trainer", "worker",   "not_started", "stopped",
                                       "storage", "other"};
constexpr const char* kWindowStates[] = {"open", "waiting", "embedding"};
constexpr const char* kFinalWindowStates[] = {"measured", "failed", "unmeasured"};
constexpr const char* kNodeStates[] = {"READY", "NOT_READY", "LOST", "DRAINING"};

using Labels = std::vector<ClientMetric::Label>;

void AddGauge(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

void AddCounter(MetricFamily& family, Labels labels, uint64_t value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = static_cast<double>(value);
  family.metric.push_back(std::move(metric));
}

MetricFamily GaugeFamily(std::string name, std::string help) {
  return MetricFamily{std::move(name), std::move(help), MetricType::Gauge, {}};
}

MetricFamily CounterFamily(std::string name, std::string help) {
  return MetricFamily{std::move(name), std::move(help), MetricType::Counter, {}};
}

template <size_t N>
void AddStates(MetricFamily& family, const char* const (&states)[N],
               const std::map<std::string, uint64_t>& counts, const Labels& more = {}) {
  for (const char* state : states) {
    auto it = counts.find(state);
    Labels labels = more;
    labels.push_back({"state", state});
    AddGauge(family, std::move(labels), it == counts.end() ? 0.0 : static_cast<double>(it->second));
  }
}

void AddJobs(const Snapshot& snapshot, std::vector<MetricFamily>* families) {
  auto of = [&](const char* kind) {
    auto found = snapshot.jobs.find(kind);
    return found == snapshot.jobs.end() ? std::map<std::string, uint64_t>() : found->second;
  };
  MetricFamily jobs = GaugeFamily("attune_jobs", "Training jobs by state");
  AddStates(jobs, kJobStates, of("TRAIN"));
  MetricFamily tasks = GaugeFamily("attune_task_jobs", "Other jobs by kind and state");
  for (const char* kind : kTaskKinds) AddStates(tasks, kJobStates, of(kind), {{"kind", kind}});
  families->push_back(std::move(jobs));
  families->push_back(std::move(tasks));
}

// Share of the wall time since the first placement that went into steps that counted.
double Goodput(const JobSample& job) {
  if (job.seconds_since_placed <= 0) return 0;
  return std::clamp(job.seconds_applied / job.seconds_since_placed, 0.0, 1.0);
}

void AddSchedules(const Snapshot& snapshot, std::vector<MetricFamily>* families) {
  MetricFamily updates = CounterFamily("attune_schedule_updates_total",
                                       "Updates of a schedule that ended, by their final state");
  MetricFamily next = GaugeFamily("attune_schedule_next_timestamp_seconds",
                                  "When the schedule's cron fires next, with its jitter");
  MetricFamily gpu = GaugeFamily("attune_schedule_gpu_seconds",
                                 "Slots times time that updates took in the last seven days");
  MetricFamily open = GaugeFamily("attune_schedule_update_open_seconds",
                                  "Age of the schedule's oldest update that has not ended and is "
                                  "not only watched; 0: there is none");
  MetricFamily problem = GaugeFamily("attune_schedule_problem",
                                     "1 while the schedule's triggers cannot be looked at, or a "
                                     "step of an update is tried again");
  const size_t count = std::min(snapshot.schedules.size(), kSchedulesMax);
  for (size_t i = 0; i < count; ++i) {
    const ScheduleSample& schedule = snapshot.schedules[i];
    for (const char* state : kUpdateStates) {
      auto it = schedule.updates.find(state);
      AddCounter(updates, {{"schedule", schedule.name}, {"state", state}},
                 it == schedule.updates.end() ? 0 : it->second);
    }
    if (schedule.next) AddGauge(next, {{"schedule", schedule.name}}, *schedule.next);
    AddGauge(gpu, {{"schedule", schedule.name}}, schedule.gpu_seconds);
    AddGauge(open, {{"schedule", schedule.name}}, schedule.open_seconds);
    AddGauge(problem, {{"schedule", schedule.name}}, schedule.problem ? 1 : 0);
  }
  for (MetricFamily* family : {&updates, &next, &gpu, &open, &problem}) {
    families->push_back(std::move(*family));
  }
}

// Of streams of live data.
void AddDrift(const Snapshot& snapshot, std::vector<MetricFamily>* families) {
  MetricFamily windows =
      GaugeFamily("attune_drift_windows", "Windows that are not measured yet, by state");
  AddStates(windows, kWindowStates, snapshot.windows);
  MetricFamily alarm = GaugeFamily("attune_drift_alarm", "1 while the stream has an alarm, else 0");
  MetricFamily effect = GaugeFamily("attune_drift_effect",
                                    "Effect that a detector saw in the newest measured window");
  MetricFamily problem = GaugeFamily("attune_drift_problem",
                                     "1 while something keeps the stream from going on, else 0");
  MetricFamily observed =
      CounterFamily("attune_drift_rows_observed_total", "Rows of live data that were taken");
  MetricFamily rejected =
      CounterFamily("attune_drift_rows_rejected_total", "Rows of live data that could not be read");
  const size_t count = std::min(snapshot.streams.size(), kStreamsMax);
  for (size_t i = 0; i < count; ++i) {
    const StreamSample& stream = snapshot.streams[i];
    AddGauge(alarm, {{"stream", stream.name}}, stream.alarm ? 1 : 0);
    AddGauge(problem, {{"stream", stream.name}}, stream.problem ? 1 : 0);
    AddCounter(observed, {{"stream", stream.name}}, stream.observed);
    AddCounter(rejected, {{"stream", stream.name}}, stream.rejected);
    for (const DriftSample& sample : stream.detectors) {
      AddGauge(
          effect,
          {{"stream", stream.name}, {"detector", sample.detector}, {"feature", sample.feature}},
          sample.effect);
    }
  }
  for (MetricFamily* family : {&windows, &alarm, &effect, &problem, &observed, &rejected}) {
    families->push_back(std::move(*family));
  }
}

std::vector<MetricFamily> Families(const Snapshot& snapshot) {
  MetricFamily nodes = GaugeFamily("attune_nodes", "Workers by state");
  AddStates(nodes, kNodeStates, snapshot.nodes);
  MetricFamily slots = GaugeFamily("attune_slots", "Slots of ready workers");
  AddGauge(slots, {{"state", "free"}}, static_cast<double>(snapshot.slots_free));
  AddGauge(slots, {{"state", "used"}}, static_cast<double>(snapshot.slots_used));

  MetricFamily oldest =
      GaugeFamily("attune_queue_oldest_seconds", "The longest wait of a job that is queued now");
  AddGauge(oldest, {}, snapshot.queue_oldest_seconds);
  MetricFamily storage = GaugeFamily("attune_storage_bytes", "Size of the storage's file system");
  MetricFamily free = GaugeFamily("attune_storage_free_bytes", "Free bytes of the storage");
  if (snapshot.storage_bytes) AddGauge(storage, {}, static_cast<double>(*snapshot.storage_bytes));
  if (snapshot.storage_free_bytes) {
    AddGauge(free, {}, static_cast<double>(*snapshot.storage_free_bytes));
  }

  MetricFamily expiry = GaugeFamily("attune_certificate_expiry_timestamp_seconds",
                                    "When the coordinator's TLS certificate ends to be valid");
  if (snapshot.certificate_expiry) AddGauge(expiry, {}, *snapshot.certificate_expiry);

  MetricFamily running = GaugeFamily("attune_job_running", "1 while the job has slots, else 0");
  MetricFamily train =
      GaugeFamily("attune_train_loss", "Last applied step's mean loss per target token");
  MetricFamily validation =
      GaugeFamily("attune_validation_loss", "Last evaluation's mean loss per target token");
  MetricFamily goodput =
      GaugeFamily("attune_goodput_ratio",
                  "Share of wall time since first placement spent in applied, not redone steps");
  size_t count = std::min(snapshot.job_samples.size(), kActiveJobsMax + kEndedJobs);
  for (size_t i = 0; i < count; ++i) {
    const JobSample& job = snapshot.job_samples[i];
    // Not "job": Prometheus' own label has that name.
    Labels labels = {{"job_id", job.id}, {"name", job.name}};
    AddGauge(running, labels, job.running ? 1 : 0);
    if (job.train_loss) AddGauge(train, labels, *job.train_loss);
    if (job.validation_loss) AddGauge(validation, labels, *job.validation_loss);
    AddGauge(goodput, labels, Goodput(job));
  }
  std::vector<MetricFamily> families = {nodes,  slots,   oldest, storage,    free,
                                        expiry, running, train,  validation, goodput};
  AddJobs(snapshot, &families);
  AddSchedules(snapshot, &families);
  AddDrift(snapshot, &families);
  return families;
}

class SnapshotCollectable : public prometheus::Collectable {
 public:
  explicit SnapshotCollectable(Metrics::SnapshotFn snapshot) : snapshot_(std::move(snapshot)) {}

  // Without a snapshot the page says so by attune_snapshot_up 0 and has no stale gauges.
  std::vector<MetricFamily> Collect() const override {
    Result<Snapshot> snapshot = Latest();
    MetricFamily up =
        GaugeFamily("attune_snapshot_up", "1 when the store could be read for this page");
    AddGauge(up, {}, snapshot.ok() ? 1 : 0);
    std::vector<MetricFamily> families;
    if (snapshot.ok()) families = Families(*snapshot);
    families.push_back(std::move(up));
    return families;
  }

 private:
  // Many may scrape, or one often: the store is read once a second.
  Result<Snapshot> Latest() const EXCLUDES(mutex_) {
    constexpr std::chrono::seconds kGoodFor{1};
    MutexLock lock(&mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (!latest_ || now - taken_ >= kGoodFor) {
      latest_ = snapshot_();
      taken_ = std::chrono::steady_clock::now();
    }
    return *latest_;
  }

  const Metrics::SnapshotFn snapshot_;
  mutable Mutex mutex_;
  mutable std::optional<Result<Snapshot>> latest_ GUARDED_BY(mutex_);
  mutable std::chrono::steady_clock::time_point taken_ GUARDED_BY(mutex_);
};

}  // namespace

struct Metrics::State {
  State(const std::string& version, SnapshotFn fn)
      : registry(std::make_shared<prometheus::Registry>()),
        snapshot(std::make_shared<SnapshotCollectable>(std::move(fn))),
        queue_wait(prometheus::BuildHistogram()
                       .Name("attune_queue_wait_seconds")
                       .Help("Time from entering the queue to placement")
                       .Register(*registry)
                       .Add({}, kWaitBuckets)),
        steps(prometheus::BuildCounter()
                  .Name("attune_steps_total")
                  .Help("Optimizer steps reported, redone ones again")
                  .Register(*registry)
                  .Add({})),
        tokens(prometheus::BuildCounter()
                   .Name("attune_tokens_total")
                   .Help("Tokens of reported steps")
                   .Register(*registry)
                   .Add({})),
        stalls(prometheus::BuildCounter()
                   .Name("attune_stalls_total")
                   .Help("Attempts ended because no rank made progress for too long")
                   .Register(*registry)
                   .Add({})),
        commit_failures(prometheus::BuildCounter()
                            .Name("attune_commit_failures_total")
                            .Help("Changes that could not be written to the database")
                            .Register(*registry)
                            .Add({})),
        late(prometheus::BuildCounter()
                 .Name("attune_late_seconds_total")
                 .Help("Time for which the coordinator's loop stood still, beyond a heartbeat "
                       "interval each time")
                 .Register(*registry)
                 .Add({})) {
    auto& ended_family = prometheus::BuildCounter()
                             .Name("attune_jobs_ended_total")
                             .Help("Training jobs that ended, by their final state")
                             .Register(*registry);
    for (const char* state : kFinalStates) {
      ended[{"TRAIN", state}] = &ended_family.Add({{"state", state}});
    }
    auto& tasks_family = prometheus::BuildCounter()
                             .Name("attune_task_jobs_ended_total")
                             .Help("Other jobs that ended, by kind and final state")
                             .Register(*registry);
    for (const char* kind : kTaskKinds) {
      for (const char* state : kFinalStates) {
        ended[{kind, state}] = &tasks_family.Add({{"kind", kind}, {"state", state}});
      }
    }
    auto& lost_family = prometheus::BuildCounter()
                            .Name("attune_attempts_lost_total")
                            .Help("Attempts lost, by cause; most are followed by another")
                            .Register(*registry);
    for (const char* cause : kLostCauses) lost[cause] = &lost_family.Add({{"cause", cause}});
    auto& windows_family = prometheus::BuildCounter()
                               .Name("attune_drift_windows_total")
                               .Help("Windows of streams, by what became of them")
                               .Register(*registry);
    for (const char* state : kFinalWindowStates) {
      windows[state] = &windows_family.Add({{"state", state}});
    }
    auto& phases = prometheus::BuildHistogram()
                       .Name("attune_step_seconds")
                       .Help("Seconds of an optimizer step by phase, on rank 0")
                       .Register(*registry);
    data = &phases.Add({{"phase", "data"}}, kPhaseBuckets);
    forward = &phases.Add({{"phase", "forward"}}, kPhaseBuckets);
    backward = &phases.Add({{"phase", "backward"}}, kPhaseBuckets);
    sync = &phases.Add({{"phase", "sync"}}, kPhaseBuckets);
    optimizer = &phases.Add({{"phase", "optimizer"}}, kPhaseBuckets);
    prometheus::BuildGauge()
        .Name("attune_build_info")
        .Help("1, with the version of the coordinator as a label")
        .Register(*registry)
        .Add({{"version", version}})
        .Set(1);
  }

  const std::shared_ptr<prometheus::Registry> registry;
  const std::shared_ptr<SnapshotCollectable> snapshot;
  Histogram& queue_wait;
  prometheus::Counter& steps;
  prometheus::Counter& tokens;
  prometheus::Counter& stalls;
  prometheus::Counter& commit_failures;
  prometheus::Counter& late;
  std::map<std::string, prometheus::Counter*, std::less<>> lost, windows;
  std::map<std::pair<std::string, std::string>, prometheus::Counter*> ended;  // by kind and state
  Histogram *data, *forward, *backward, *sync, *optimizer;

  mutable Mutex mutex;
  std::unique_ptr<Page> page GUARDED_BY(mutex);
};

Metrics::Metrics(std::string version, SnapshotFn snapshot)
    : state_(std::make_unique<State>(version, std::move(snapshot))) {}

Metrics::~Metrics() {
  Shutdown();
}

void Metrics::OnJobPlaced(double queue_wait_seconds) {
  state_->queue_wait.Observe(std::max(0.0, queue_wait_seconds));
}

void Metrics::OnStepApplied(const StepSample& step) {
  state_->steps.Increment();
  state_->tokens.Increment(static_cast<double>(step.tokens));
  if (step.data) state_->data->Observe(*step.data);
  if (step.forward) state_->forward->Observe(*step.forward);
  if (step.backward) state_->backward->Observe(*step.backward);
  if (step.sync) state_->sync->Observe(*step.sync);
  if (step.optimizer) state_->optimizer->Observe(*step.optimizer);
}

void Metrics::OnJobEnded(const std::string& kind, std::string_view state) {
  auto found = state_->ended.find({kind, std::string(state)});
  if (found != state_->ended.end()) found->second->Increment();
}

void Metrics::OnCommitFailed() {
  state_->commit_failures.Increment();
}

void Metrics::OnWindow(std::string_view state) {
  auto found = state_->windows.find(state);
  if (found != state_->windows.end()) found->second->Increment();
}

void Metrics::OnAttemptLost(std::string_view cause) {
  auto found = state_->lost.find(cause);
  (found == state_->lost.end() ? state_->lost["other"] : found->second)->Increment();
}

void Metrics::OnStall() {
  state_->stalls.Increment();
}

void Metrics::OnLate(double seconds) {
  state_->late.Increment(seconds);
}

Status Metrics::Start(const std::string& listen) {
  MutexLock lock(&state_->mutex);
  if (state_->page != nullptr) return FailedPrecondition("metrics are being served already");
  ATTUNE_ASSIGN_OR_RETURN(state_->page, Page::Serve(listen, {state_->registry, state_->snapshot}));
  return Status();
}

std::string Metrics::address() const {
  MutexLock lock(&state_->mutex);
  return state_->page == nullptr ? "" : state_->page->address();
}

void Metrics::Shutdown() {
  std::unique_ptr<Page> page;
  {
    MutexLock lock(&state_->mutex);
    page = std::move(state_->page);
  }
  // Joins the server's threads; they do not need the mutex.
}

std::string Metrics::Render() const {
  std::vector<MetricFamily> families = state_->registry->Collect();
  for (MetricFamily& family : state_->snapshot->Collect()) families.push_back(std::move(family));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace attune::metrics
