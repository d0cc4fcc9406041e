#include "coordinator/objects/object_source.h"

#include "coordinator/objects/sources.h"

namespace attune::objects {

bool IsVisible(std::string_view name) {
  return !name.starts_with('.') && name.find("/.") == std::string_view::npos;
}

Status TooManyObjects(const std::string& source) {
  return ResourceExhausted(source + " holds more than " + std::to_string(kObjectsMax) +
                           " files: move those that were read elsewhere");
}

Result<std::unique_ptr<ObjectSource>> OpenSource(const std::string& address) {
  if (address.starts_with("s3://")) return MakeS3(address);
  if (address.starts_with('/')) return MakeFolder(address);
  return InvalidArgument("'" + address +
                         "' is neither an absolute folder nor s3://BUCKET/PREFIX: the coordinator "
                         "reads it, so it must be written as the coordinator sees it");
}

}  // namespace attune::objects
