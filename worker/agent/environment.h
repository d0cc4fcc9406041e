#pragma once

#include <map>
#include <string>
#include <vector>

#include "worker/agent/config.h"
#include "worker/agent/supervisor.h"

namespace attune::worker {

// A trainer's whole environment, sorted: ours without ATTUNE_* variables (a worker's token is not
// for its trainers) but ATTUNE_MEMORY_LIMIT, then what the worker tells it, then what the
// coordinator asked for, which wins.
std::vector<std::string> TrainerEnvironment(const WorkerConfig& config,
                                            const TrainerIdentity& identity,
                                            const std::string& run_token,
                                            const std::map<std::string, std::string>& asked,
                                            char const* const* inherited);

}  // namespace attune::worker
