#pragma once

// Where a run may be tried that was refused for want of memory: a pure function.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace attune::jobs {

struct NodeMemory {
  std::string name;
  std::string device;  // "cpu" or the GPU's name
  uint64_t memory_bytes = 0;
  uint32_t slots = 0;
  bool ready = false;
};

// Nodes for the job to avoid besides those it avoids already: the one that had the least memory for
// each of its ranks, and all that have no more of it and the same device. Of a GPU's own memory
// nothing is known here, so one of another name may have enough. Empty when the rest has too few
// slots: then nothing is left to be tried. placed: the node of each rank.
//
// Each call that does not end so avoids one node more, so a job is refused at most once a node.
std::vector<std::string> NodesTooSmall(const std::vector<std::string>& placed, uint32_t ranks_min,
                                       const std::set<std::string>& avoided,
                                       const std::vector<NodeMemory>& nodes);

}  // namespace attune::jobs
