#pragma once

// Watched folders and S3 prefixes: each *.jsonl below them is observed once, when it has not
// changed for kSettle. What was read is known by path, size, time and content: a file that moved or
// was touched is not read again, of one that grew only what is new is. Files are never changed or
// removed.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/drift/observations.h"
#include "coordinator/objects/object_source.h"

namespace attune::drift {

inline constexpr std::chrono::seconds kSettle{5};
inline constexpr std::chrono::seconds kTryFileAgain{30};
inline constexpr std::chrono::seconds kListBucketEvery{30};

// Used by one thread.
class FolderReader {
 public:
  FolderReader(Database* database, ObservationStore* observations)
      : database_(database), observations_(observations) {}

  // Observes what is new in the stream's folders. The first problem is returned after all files
  // were looked at; what it is about is tried again later.
  Status Read(const StreamRecord& stream, TimePoint now);
  // Other streams are gone.
  void KeepOnly(const std::set<std::string>& streams);

 private:
  struct Source {
    std::unique_ptr<objects::ObjectSource> files;
    TimePoint not_before;  // listed again from then on
  };
  struct Seen {
    uint64_t bytes = 0;
    TimePoint modified;
    TimePoint not_before;  // looked at again from then on
    bool done = false;     // noted as read, as it is
  };
  using Key = std::pair<std::string, std::string>;  // stream, path

  Status ReadFolder(const StreamRecord& stream, const std::string& address, TimePoint now);
  Status Look(const StreamRecord& stream, objects::ObjectSource& files,
              const objects::Object& object, const std::string& path, TimePoint now);
  Status ReadFile(const StreamRecord& stream, objects::ObjectSource& files, const std::string& name,
                  const FileRecord& file);

  Database* const database_;
  ObservationStore* const observations_;
  std::map<Key, Source> sources_;  // by stream and address
  std::map<Key, Seen> seen_;
};

}  // namespace attune::drift
