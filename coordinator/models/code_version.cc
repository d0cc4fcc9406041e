#include "common/base/version.h"
#include "coordinator/models/registry.h"

namespace attune::models {

std::string CodeVersion() {
  std::string version = kVersion;
  std::string revision = ATTUNE_GIT_REVISION;
  return revision.empty() ? version : version + "+" + revision;
}

}  // namespace attune::models
