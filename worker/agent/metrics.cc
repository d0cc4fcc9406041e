#include "worker/agent/metrics.h"

namespace attune::worker {

WorkerMetrics::WorkerMetrics(const std::string& node)
    : labels_{{"node", node}}, registry_(std::make_shared<prometheus::Registry>()) {
  slots_ = Gauge("attune_worker_slots", "Trainers this worker can run at once.");
  running_ = Gauge("attune_worker_trainers_running", "Trainer processes alive now.");
  connected_ = Gauge("attune_worker_connected", "1 while registered with the coordinator.");
  cores_ = Gauge("attune_worker_host_cores", "Cores this worker may use.");
  memory_ = Gauge("attune_worker_host_memory_bytes", "Memory this worker may use.");
  memory_free_ = Gauge("attune_worker_host_memory_free_bytes",
                       "Memory of the host that could be had without swapping.");
  load_ = Gauge("attune_worker_host_load1", "Load average of the last minute.");
  cpu_seconds_ = Gauge("attune_worker_host_cpu_busy_seconds",
                       "Busy time of all cores since boot; use rate().");
  trainer_memory_peak_ = Gauge("attune_worker_trainer_memory_peak_bytes",
                               "Peak resident memory of the trainer that ended last.");
  starts_ = Counter("attune_worker_trainer_starts_total", "Trainer processes started.");
  reconnects_ = Counter("attune_worker_stream_reconnects_total",
                        "Times the stream to the coordinator was lost.");
  log_bytes_ = Counter("attune_worker_log_bytes_total", "Log bytes sent to the coordinator.");
  exits_ = &prometheus::BuildCounter()
                .Name("attune_worker_trainer_exits_total")
                .Help(
                    "Trainers that ended, by cause: ok, failed (exit code), killed (signal), "
                    "not_started.")
                .Labels(labels_)
                .Register(*registry_);
  for (const char* cause : {"ok", "failed", "killed", "not_started"})
    exits_->Add({{"cause", cause}});
  gpu_memory_ = Gauges("attune_worker_gpu_memory_bytes", "Memory of a GPU.");
  gpu_memory_used_ = Gauges("attune_worker_gpu_memory_used_bytes", "What is taken of it.");
  gpu_busy_ = Gauges("attune_worker_gpu_busy_ratio",
                     "Share of the last moments in which something ran on a GPU.");
  gpu_temperature_ = Gauges("attune_worker_gpu_temperature_celsius", "Temperature of a GPU.");
}

prometheus::Gauge* WorkerMetrics::Gauge(const char* name, const char* help) {
  return &prometheus::BuildGauge()
              .Name(name)
              .Help(help)
              .Labels(labels_)
              .Register(*registry_)
              .Add({});
}

prometheus::Family<prometheus::Gauge>* WorkerMetrics::Gauges(const char* name, const char* help) {
  return &prometheus::BuildGauge().Name(name).Help(help).Labels(labels_).Register(*registry_);
}

prometheus::Counter* WorkerMetrics::Counter(const char* name, const char* help) {
  return &prometheus::BuildCounter()
              .Name(name)
              .Help(help)
              .Labels(labels_)
              .Register(*registry_)
              .Add({});
}

Status WorkerMetrics::Serve(const std::string& listen) {
  if (listen.empty()) return Status();
  ATTUNE_ASSIGN_OR_RETURN(page_, metrics::Page::Serve(listen, {registry_}));
  return Status();
}

void WorkerMetrics::SetHost(const HostFacts& facts) {
  cores_->Set(facts.cores);
  memory_->Set(static_cast<double>(facts.memory_bytes));
}

void WorkerMetrics::SetCertificateExpiry(TimePoint time) {
  if (certificate_expiry_ == nullptr) {
    certificate_expiry_ = Gauge("attune_worker_certificate_expiry_timestamp_seconds",
                                "When the worker's TLS certificate ends to be valid.");
  }
  certificate_expiry_->Set(std::chrono::duration<double>(time.time_since_epoch()).count());
}

void WorkerMetrics::SetHostLoad(const HostLoad& load) {
  memory_free_->Set(static_cast<double>(load.memory_free_bytes));
  load_->Set(load.load);
  cpu_seconds_->Set(load.cpu_busy_seconds);
}

void WorkerMetrics::SetGpuLoads(const std::vector<GpuLoad>& loads) {
  MutexLock lock(&mutex_);
  std::map<std::string, GpuGauges> gone;
  gone.swap(gpus_);
  for (const GpuLoad& load : loads) {
    const prometheus::Labels gpu = {{"gpu", load.index}};
    const GpuGauges gauges{&gpu_memory_->Add(gpu), &gpu_memory_used_->Add(gpu),
                           &gpu_busy_->Add(gpu), &gpu_temperature_->Add(gpu)};
    gauges.memory->Set(static_cast<double>(load.memory_bytes));
    gauges.memory_used->Set(static_cast<double>(load.memory_used_bytes));
    gauges.busy->Set(load.busy);
    gauges.temperature->Set(load.temperature_celsius);
    gpus_[load.index] = gauges;
    gone.erase(load.index);
  }
  for (const auto& [index, gauges] : gone) {
    gpu_memory_->Remove(gauges.memory);
    gpu_memory_used_->Remove(gauges.memory_used);
    gpu_busy_->Remove(gauges.busy);
    gpu_temperature_->Remove(gauges.temperature);
  }
}

void WorkerMetrics::CountExit(const TrainerExit& exit) {
  const char* cause = "ok";
  if (!exit.start_error.empty()) {
    cause = "not_started";
  } else if (exit.status.signaled) {
    cause = "killed";
  } else if (exit.status.code != 0) {
    cause = "failed";
  }
  if (exit.start_error.empty()) {
    trainer_memory_peak_->Set(static_cast<double>(exit.status.memory_peak_bytes));
  }
  exits_->Add({{"cause", cause}}).Increment();  // last: who sees the exit sees its peak
}

}  // namespace attune::worker
