#include "coordinator/jobs/larger_nodes.h"

#include <algorithm>
#include <map>

namespace attune::jobs {
namespace {

// Of a rank, when as many as may be share the node.
uint64_t Share(const NodeMemory& node, uint32_t ranks) {
  return node.memory_bytes / std::max(1u, std::min(node.slots, ranks));
}

}  // namespace

std::vector<std::string> NodesTooSmall(const std::vector<std::string>& placed, uint32_t ranks_min,
                                       const std::set<std::string>& avoided,
                                       const std::vector<NodeMemory>& nodes) {
  std::map<std::string, uint32_t> ranks_on;
  for (const std::string& node : placed) ++ranks_on[node];
  const NodeMemory* least = nullptr;
  uint64_t had = 0;
  for (const NodeMemory& node : nodes) {
    const auto ranks = ranks_on.find(node.name);
    if (ranks == ranks_on.end()) continue;
    const uint64_t share = node.memory_bytes / ranks->second;
    if (least != nullptr && share >= had) continue;
    least = &node;
    had = share;
  }
  if (least == nullptr || avoided.contains(least->name)) return {};
  std::vector<std::string> small;
  uint32_t left = 0;
  for (const NodeMemory& node : nodes) {
    if (avoided.contains(node.name)) continue;
    const bool larger =
        node.device != least->device || Share(node, static_cast<uint32_t>(placed.size())) > had;
    if (&node == least || !larger) {
      small.push_back(node.name);
    } else if (node.ready) {
      left += node.slots;
    }
  }
  return left >= ranks_min ? small : std::vector<std::string>();
}

}  // namespace attune::jobs
