#include "worker/trainer/report_buffer.h"

#include <utility>

namespace attune::trainer {

bool ReportBuffer::Append(v1::TrainerMessage report) {
  MutexLock lock(&mutex_);
  while (!closed_ && !reports_.empty() && bytes_ >= bytes_max_) changed_.Wait(&mutex_);
  if (closed_) return false;
  report.set_sequence(next_sequence_++);
  bytes_ += report.ByteSizeLong();
  reports_.push_back(std::move(report));
  return true;
}

void ReportBuffer::Acknowledge(uint64_t sequence) {
  MutexLock lock(&mutex_);
  while (!reports_.empty() && reports_.front().sequence() <= sequence) {
    bytes_ -= reports_.front().ByteSizeLong();
    reports_.pop_front();
    if (sent_ > 0) --sent_;
  }
  changed_.NotifyAll();
}

std::optional<v1::TrainerMessage> ReportBuffer::NextUnsent() {
  MutexLock lock(&mutex_);
  if (sent_ >= reports_.size()) return std::nullopt;
  return reports_[sent_++];
}

void ReportBuffer::Rewind() {
  MutexLock lock(&mutex_);
  sent_ = 0;
}

uint64_t ReportBuffer::first_sequence() const {
  MutexLock lock(&mutex_);
  return reports_.empty() ? next_sequence_ : reports_.front().sequence();
}

bool ReportBuffer::WaitUntilEmpty(std::chrono::steady_clock::time_point deadline) {
  MutexLock lock(&mutex_);
  while (!reports_.empty()) {
    if (!changed_.WaitUntil(&mutex_, deadline)) return reports_.empty();
  }
  return true;
}

void ReportBuffer::Close() {
  MutexLock lock(&mutex_);
  closed_ = true;
  changed_.NotifyAll();
}

}  // namespace attune::trainer
