#include "coordinator/objects/matching.h"

#include <vector>

#include "common/base/glob.h"
#include "common/base/utf8.h"
#include "coordinator/objects/object_source.h"

namespace attune::objects {
namespace {

constexpr std::string_view kScheme = "s3://";

// "s3://bucket/a/b/*.jsonl?region=x": folder "s3://bucket/a/b", pattern "*.jsonl", options
// "?region=x".
struct Parts {
  std::string folder, pattern, options;
};

Result<Parts> Split(const std::string& address) {
  const size_t key = address.find('/', kScheme.size());
  if (!address.starts_with(kScheme) || key == std::string::npos) {
    return InvalidArgument("'" + address + "' is not s3://BUCKET/KEY");
  }
  const size_t end = std::min(address.find('?'), address.size());
  Parts parts{.options = address.substr(end)};
  std::string path = address.substr(0, end);
  if (path.ends_with('/')) path += "**";
  const std::string folder = GlobFolder(path);
  const size_t slash = HasGlob(path) ? folder.size() : path.rfind('/');
  if (slash < key) return InvalidArgument("'" + address + "' has a wildcard in its bucket's name");
  parts.folder = path.substr(0, slash);
  parts.pattern = path.substr(slash + 1);
  return parts;
}

}  // namespace

Status ReadMatching(const Patience& patience, const std::string& address, const TakeObject& take) {
  ATTUNE_ASSIGN_OR_RETURN(const Parts parts, Split(address));
  const std::string source_address = parts.folder + parts.options;
  const auto source =
      patience.Bound(parts.folder, [source_address] { return OpenSource(source_address); });
  std::vector<std::string> names;
  if (HasGlob(parts.pattern)) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<Object> objects, source->List(""));
    for (const Object& object : objects) {
      if (MatchesGlob(parts.pattern, object.name)) names.push_back(object.name);
    }
  } else {
    names.push_back(parts.pattern);
  }
  if (names.empty()) return NotFound("there is no object " + parts.folder + "/" + parts.pattern);
  for (const std::string& name : names) {
    const std::string file = ToValidUtf8(parts.folder + "/" + name);
    bool is_empty = true;
    ATTUNE_RETURN_IF_ERROR(source->Read(name, [&](std::string_view bytes) {
      is_empty = false;
      return take(file, bytes);
    }));
    if (is_empty) ATTUNE_RETURN_IF_ERROR(take(file, ""));
  }
  return Status();
}

}  // namespace attune::objects
