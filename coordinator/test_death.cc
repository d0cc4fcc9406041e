#include "coordinator/test_death.h"

#include <signal.h>

#include <cstdlib>
#include <fstream>

#include "common/log/log.h"

namespace attune {

Database::Observer TestDeath() {
  const char* file = std::getenv("ATTUNE_TEST_DEATH");
  int commits = 0;
  if (file == nullptr || !(std::ifstream(file) >> commits) || commits <= 0) return nullptr;
  spdlog::warn("ATTUNE_TEST_DEATH is set: this process kills itself after {} commits", commits);
  return [left = commits](const std::vector<Event>&) mutable {
    if (--left == 0) raise(SIGKILL);
  };
}

}  // namespace attune
