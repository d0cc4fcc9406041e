#include "common/base/version.h"
#include "coordinator/models/registry.h"

namespace attune::models {

extern const char kGitRevision[];  // cmake/Revision.cmake

std::string CodeVersion() {
  std::string version = kVersion;
  std::string revision = kGitRevision;
  return revision.empty() ? version : version + "+" + revision;
}

}  // namespace attune::models
