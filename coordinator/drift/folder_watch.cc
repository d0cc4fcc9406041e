#include "coordinator/drift/folder_watch.h"

namespace attune::drift {

FolderWatch::FolderWatch(Database* database, ObservationStore* observations, Clock* clock,
                         Open open, std::chrono::milliseconds patience)
    : database_(database),
      observations_(observations),
      clock_(clock),
      open_(std::move(open)),
      patience_(patience) {}

FolderWatch::~FolderWatch() {
  Shutdown();
}

void FolderWatch::Start() {
  for (int i = 0; i < kReaders; ++i) threads_.emplace_back([this] { Run(); });
}

void FolderWatch::Shutdown() {
  patience_.End();
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void FolderWatch::Run() {
  while (std::shared_ptr<Watched> due = NextDue()) ReadOne(due.get());
}

std::shared_ptr<FolderWatch::Watched> FolderWatch::NextDue() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    std::shared_ptr<Watched> first;
    for (const auto& [name, watched] : watched_) {
      if (!watched->busy && (!first || watched->next < first->next)) first = watched;
    }
    if (!first) {
      changed_.Wait(&mutex_);
    } else if (first->next <= clock_->Monotonic()) {
      first->busy = true;
      return first;
    } else {
      changed_.WaitUntil(&mutex_, first->next);
    }
  }
  return nullptr;
}

void FolderWatch::ReadOne(Watched* watched) {
  StreamRecord stream;
  {
    MutexLock lock(&mutex_);
    stream = watched->stream;
  }
  const Status problem = watched->reader.Read(stream);
  MutexLock lock(&mutex_);
  watched->problem = problem;
  watched->next = clock_->Monotonic() + kLookInterval;
  watched->busy = false;
  changed_.NotifyAll();
}

void FolderWatch::ReadAll() {
  std::vector<std::shared_ptr<Watched>> all;
  {
    MutexLock lock(&mutex_);
    for (const auto& [name, watched] : watched_) {
      watched->busy = true;
      all.push_back(watched);
    }
  }
  for (const auto& watched : all) ReadOne(watched.get());
}

void FolderWatch::Watch(const std::vector<StreamRecord>& streams) {
  std::map<std::string, std::shared_ptr<Watched>> before;  // freed without the mutex
  MutexLock lock(&mutex_);
  before.swap(watched_);
  for (const StreamRecord& stream : streams) {
    if (stream.stream.spec().folders().empty()) continue;
    std::shared_ptr<Watched>& now = watched_[stream.stream.spec().name()];
    auto known = before.find(stream.stream.spec().name());
    if (known != before.end() && known->second->stream.incarnation == stream.incarnation) {
      now = known->second;
    } else {
      now = std::make_shared<Watched>(
          FolderReader(database_, observations_, clock_, [this](const std::string& address) {
            return patience_.Bound(address, [open = open_, address] { return open(address); });
          }));
      changed_.NotifyAll();
    }
    now->stream = stream;
  }
}

Status FolderWatch::Problem(const std::string& stream) {
  MutexLock lock(&mutex_);
  auto found = watched_.find(stream);
  return found == watched_.end() ? Status() : found->second->problem;
}

}  // namespace attune::drift
