#include "worker/agent/gpu_probe.h"

namespace attune::worker {

GpuProbe::GpuProbe(std::unique_ptr<GpuQuery> query, Options options)
    : query_(std::move(query)), options_(options), thread_([this] { Run(); }) {}

GpuProbe::~GpuProbe() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    wake_.NotifyAll();
  }
  thread_.join();
}

std::vector<GpuLoad> GpuProbe::Loads() const {
  MutexLock lock(&mutex_);
  if (reading_since_ && std::chrono::steady_clock::now() - *reading_since_ > options_.patience) {
    return {};
  }
  return loads_;
}

void GpuProbe::Run() {
  for (;;) {
    {
      MutexLock lock(&mutex_);
      reading_since_ = std::chrono::steady_clock::now();
    }
    std::vector<GpuLoad> loads = query_->Read();
    MutexLock lock(&mutex_);
    reading_since_.reset();
    loads_ = std::move(loads);
    const SteadyTime next = std::chrono::steady_clock::now() + options_.interval;
    while (!stopping_) {
      if (!wake_.WaitUntil(&mutex_, next)) break;
    }
    if (stopping_) return;
  }
}

}  // namespace attune::worker
