#pragma once

// Watched folders and S3 prefixes: each *.jsonl below them is observed once, when it has not
// changed for kSettle. What was read is known by path, size, time and content: a file that moved or
// was touched is not read again, of one that grew only what is new is. A last line without its
// newline may be half a line: it waits until the file has not changed for kFinished. Files are
// never changed or removed.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "coordinator/drift/observations.h"
#include "coordinator/objects/object_source.h"

namespace attune::drift {

inline constexpr std::chrono::seconds kSettle{5};
inline constexpr std::chrono::minutes kFinished{10};
inline constexpr std::chrono::seconds kTryFileAgain{30};  // then ever later, up to
inline constexpr std::chrono::hours kTryFileAgainMost{1};
inline constexpr std::chrono::seconds kListBucketEvery{30};
inline constexpr std::chrono::minutes kListAgainAfterHang{5};

// How long the files of one folder are read before it is another folder's turn.
inline constexpr std::chrono::seconds kTurn{30};

// Of one stream. Used by one thread at a time.
class FolderReader {
 public:
  using Open = std::function<std::unique_ptr<objects::ObjectSource>(const std::string& address)>;
  using Time = std::chrono::steady_clock::time_point;  // that nobody sets

  FolderReader(Database* database, ObservationStore* observations, Clock* clock, Open open)
      : database_(database), observations_(observations), clock_(clock), open_(std::move(open)) {}

  // Observes what is new in the stream's folders. Returns all problems that there are: what cannot
  // be read, and is tried again later.
  Status Read(const StreamRecord& stream);

 private:
  struct Seen {
    uint64_t bytes = 0;
    TimePoint modified;
    Time since;         // has these
    Time not_before;    // looked at again from then on
    bool done = false;  // noted as read, as it is
    int failures = 0;   // to read it, in a row
    Status problem;
  };
  struct Folder {
    std::unique_ptr<objects::ObjectSource> source;
    Time not_before;  // listed again from then on
    Status problem;
    std::map<std::string, Seen> files;  // by path
  };
  Status ReadFolder(const StreamRecord& stream, const std::string& address, Folder* folder);
  // At the files, in the order of their names, until the turn ends. False: there are more.
  Result<bool> LookAtFiles(const StreamRecord& stream, const std::string& address, Folder* folder);
  Status Look(const StreamRecord& stream, objects::ObjectSource& source,
              const objects::Object& object, const std::string& path, Seen* seen);
  // whole: with a last line that has no newline. Returns how many of its bytes were read.
  Result<uint64_t> ReadFile(const StreamRecord& stream, objects::ObjectSource& source,
                            const std::string& name, const FileRecord& file, bool whole);

  Database* const database_;
  ObservationStore* const observations_;
  Clock* const clock_;
  const Open open_;
  std::map<std::string, Folder> folders_;  // by address
};

}  // namespace attune::drift
