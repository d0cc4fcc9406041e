#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "common/metrics/page.h"
#include "worker/agent/gpu_query.h"
#include "worker/agent/host.h"
#include "worker/agent/supervisor.h"

namespace attune::worker {

// What the worker tells Prometheus. Thread-safe.
class WorkerMetrics {
 public:
  explicit WorkerMetrics(const std::string& node);

  // Serves /metrics at host:port; port 0 takes a free one. Errors: the port is taken.
  Status Serve(const std::string& listen);
  // Where it is served ("127.0.0.1:40123"), empty when it is not.
  std::string address() const { return page_ == nullptr ? "" : page_->address(); }

  // What a page would show now.
  std::vector<prometheus::MetricFamily> Collect() const { return registry_->Collect(); }

  void SetSlots(uint32_t slots) { slots_->Set(slots); }
  void SetHost(const HostFacts& facts);
  void SetHostLoad(const HostLoad& load);
  // A GPU that is not among them is no longer shown.
  void SetGpuLoads(const std::vector<GpuLoad>& loads) EXCLUDES(mutex_);
  void SetCertificateExpiry(TimePoint time);
  void SetRunning(size_t running) { running_->Set(static_cast<double>(running)); }
  void SetConnected(bool connected) { connected_->Set(connected ? 1 : 0); }
  void CountStart() { starts_->Increment(); }
  void CountExit(const TrainerExit& exit);
  void CountReconnect() { reconnects_->Increment(); }
  void CountLogBytes(size_t bytes) { log_bytes_->Increment(static_cast<double>(bytes)); }

 private:
  struct GpuGauges {
    prometheus::Gauge *memory, *memory_used, *busy, *temperature;
  };
  prometheus::Gauge* Gauge(const char* name, const char* help);
  // By GPU.
  prometheus::Family<prometheus::Gauge>* Gauges(const char* name, const char* help);
  prometheus::Counter* Counter(const char* name, const char* help);

  const prometheus::Labels labels_;
  std::shared_ptr<prometheus::Registry> registry_;
  std::unique_ptr<metrics::Page> page_;
  prometheus::Gauge *slots_, *running_, *connected_, *cores_, *memory_, *memory_free_, *load_,
      *cpu_seconds_, *trainer_memory_peak_;
  prometheus::Gauge* certificate_expiry_ = nullptr;  // from the first time it is known
  prometheus::Counter *starts_, *reconnects_, *log_bytes_;
  prometheus::Family<prometheus::Counter>* exits_;
  prometheus::Family<prometheus::Gauge>*gpu_memory_, *gpu_memory_used_, *gpu_busy_,
      *gpu_temperature_;
  Mutex mutex_;
  std::map<std::string, GpuGauges> gpus_ GUARDED_BY(mutex_);  // by index
};

}  // namespace attune::worker
