#pragma once

// Watched folders and S3 prefixes: each *.jsonl below them is observed once, when it has not
// changed for kSettle. What was read is known by path, size, time and content: a file that moved or
// was touched is not read again, of one that grew only what is new is. A last line without its
// newline may be half a line: it waits until the file has not changed for kFinished. Files are
// never changed or removed.

#include <functional>
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
inline constexpr std::chrono::minutes kFinished{10};
inline constexpr std::chrono::seconds kTryFileAgain{30};  // then ever later, up to
inline constexpr std::chrono::hours kTryFileAgainMost{1};
inline constexpr std::chrono::hours kRejectedShown{24};
inline constexpr std::chrono::seconds kListBucketEvery{30};

// Used by one thread.
class FolderReader {
 public:
  using Open = std::function<Result<std::unique_ptr<objects::ObjectSource>>(const std::string&)>;

  FolderReader(Database* database, ObservationStore* observations, Open open = objects::OpenSource)
      : database_(database), observations_(observations), open_(std::move(open)) {}

  // Observes what is new in the stream's folders. Returns all problems that there are, after all
  // files were looked at: what cannot be read, tried again later, and rows that were rejected.
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
    TimePoint since;       // has these
    TimePoint not_before;  // looked at again from then on
    bool done = false;     // noted as read, as it is
    int failures = 0;      // to read it, in a row
    Status problem;
    std::string rejected;  // rows; empty: none were
    TimePoint rejected_until;
  };
  struct Taken {
    uint64_t bytes = 0;
    std::string rejected;
  };
  using Key = std::pair<std::string, std::string>;  // stream, path

  Status ReadFolder(const StreamRecord& stream, const std::string& address, TimePoint now);
  Status Look(const StreamRecord& stream, objects::ObjectSource& files,
              const objects::Object& object, const std::string& path, TimePoint now);
  // whole: with a last line that has no newline.
  Result<Taken> ReadFile(const StreamRecord& stream, objects::ObjectSource& files,
                         const std::string& name, const FileRecord& file, bool whole);

  Database* const database_;
  ObservationStore* const observations_;
  const Open open_;
  std::map<Key, Source> sources_;  // by stream and address
  std::map<Key, Seen> seen_;
};

}  // namespace attune::drift
