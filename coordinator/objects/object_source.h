#pragma once

// Files that others write for us to read: a watched folder, or a prefix of an S3 bucket. Nothing
// here writes or removes. Thread-safe.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"

namespace attune::objects {

inline constexpr size_t kObjectsMax = 100'000;  // of one source

struct Object {
  std::string name;  // below the source, with '/' between folders
  uint64_t bytes = 0;
  TimePoint modified;
};

class ObjectSource {
 public:
  virtual ~ObjectSource() = default;

  // All objects whose name ends with the suffix, by name. Names that start with a dot, or stand in
  // a folder that does, are left out: they are being written. kResourceExhausted when there are
  // more than kObjectsMax, kNotFound when the folder or bucket is not there.
  virtual Result<std::vector<Object>> List(std::string_view suffix) = 0;
  // Calls take for its bytes, in order; take's error ends it and is returned.
  virtual Status Read(const std::string& name,
                      const std::function<Status(std::string_view bytes)>& take) = 0;
};

// An absolute path, or s3://BUCKET/PREFIX with the options region, scheme and endpoint_override
// behind a '?'. Credentials are the process's own (environment, ~/.aws, the machine's role): one
// in the address is refused, as addresses are stored and shown. kInvalidArgument says what is
// wrong with the address; nothing is read yet.
Result<std::unique_ptr<ObjectSource>> OpenSource(const std::string& address);

// Before main ends, if a source of S3 was ever opened and all are gone: the client's threads stop.
// Waits for calls under way, so it is not for a process that gave one up (timely_source.h).
void ShutdownSources();

}  // namespace attune::objects
