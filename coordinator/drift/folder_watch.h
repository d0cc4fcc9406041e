#pragma once

// Reads the watched folders and prefixes of all streams, apart from what else is done with streams:
// one that is slow or hangs delays its own stream, no other and no window. A stream is read by one
// thread at a time, of kReaders; whoever waited longest is next. A read that nothing comes of for
// kReadPatience is given up (objects/timely_source.h).

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status.h"
#include "coordinator/drift/folders.h"
#include "coordinator/objects/timely_source.h"

namespace attune::drift {

inline constexpr int kReaders = 8;
inline constexpr std::chrono::minutes kReadPatience{2};
inline constexpr std::chrono::seconds kLookInterval{1};

// Thread-safe.
class FolderWatch {
 public:
  using Open =
      std::function<Result<std::unique_ptr<objects::ObjectSource>>(const std::string& address)>;

  // database, observations and clock outlive it.
  FolderWatch(Database* database, ObservationStore* observations, Clock* clock,
              Open open = objects::OpenSource, std::chrono::milliseconds patience = kReadPatience);
  ~FolderWatch();

  void Start();
  // Waits for no folder, only for rows that are being written. May be repeated.
  void Shutdown() EXCLUDES(mutex_);
  // What the threads do when it is time; tests call it: reads of all streams.
  void ReadAll() EXCLUDES(mutex_);

  // These are watched from now on, as they are now, and no others.
  void Watch(const std::vector<StreamRecord>& streams) EXCLUDES(mutex_);
  // What the last look at the stream's folders found.
  Status Problem(const std::string& stream) EXCLUDES(mutex_);

 private:
  struct Watched {
    explicit Watched(FolderReader r) : reader(std::move(r)) {}
    StreamRecord stream;
    FolderReader reader;  // of the thread that made it busy
    FolderReader::Time next;
    bool busy = false;
    Status problem;
  };

  void Run() EXCLUDES(mutex_);
  // Waits for it, and makes it busy; null when it is time to end.
  std::shared_ptr<Watched> NextDue() EXCLUDES(mutex_);
  void ReadOne(Watched* watched) EXCLUDES(mutex_);

  Database* const database_;
  ObservationStore* const observations_;
  Clock* const clock_;
  const Open open_;
  objects::Patience patience_;
  std::vector<std::thread> threads_;

  Mutex mutex_;
  CondVar changed_;
  bool stopping_ GUARDED_BY(mutex_) = false;
  // By name. All of an entry but its reader is guarded by the mutex.
  std::map<std::string, std::shared_ptr<Watched>> watched_ GUARDED_BY(mutex_);
};

}  // namespace attune::drift
