#pragma once

// The whole reading of token files, to find those that are damaged: each file by one of the ranks
// that prepare together. Private to this folder.

#include <cstdint>
#include <set>
#include <string>

#include "common/base/status.h"
#include "worker/engine/data/cached_shards.h"
#include "worker/engine/data/dataset_work.h"
#include "worker/engine/data/phase_report.h"
#include "worker/engine/engine.h"

namespace attune::engine {

class Verification {
 public:
  // The observer outlives the object, and so do the shards.
  Verification(const PrepareTask& task, const Shards& shards, Observer* observer);

  // Reads this rank's part of `cached`, which has all shards, but for what it has found whole
  // before. Those that are damaged are taken out, and their names put into *damaged. kCancelled
  // when the observer wants it to stop.
  Status Run(CachedShards* cached, std::set<std::string>* damaged);

 private:
  const Shards mine_;
  PhaseReport report_;
  std::set<std::string> whole_;  // names
  uint64_t done_ = 0;            // their examples
};

}  // namespace attune::engine
