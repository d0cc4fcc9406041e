#include "coordinator/launching/node_table.h"

namespace attune::launching {

void NodeTable::Restore(const v1::Node& node, Time now, std::chrono::milliseconds grace,
                        std::chrono::milliseconds silence) {
  Entry& entry = entries_[node.name()];
  entry.node = node;
  entry.lost = node.state() == v1::Node::LOST;
  LivenessOptions options = options_;
  if (entry.lost) {
    entry.liveness = Liveness(options, now - silence);
    return;
  }
  options.lost_after = grace;
  entry.liveness = Liveness(options, now);
}

NodeTable::Entry& NodeTable::Register(const v1::RegisterWorker& worker, const std::string& address,
                                      Time now) {
  Entry& entry = entries_[worker.node()];
  v1::Node& node = entry.node;
  node.Clear();
  node.set_name(worker.node());
  node.set_slots(worker.slots());
  node.set_address(address);
  node.set_device(worker.device());
  node.set_cores(worker.cores());
  node.set_memory_bytes(worker.memory_bytes());
  node.set_version(worker.version());
  node.set_metrics_address(worker.metrics_address());
  entry.liveness = Liveness(options_, now);
  entry.registered = true;
  entry.connected = true;
  entry.lost = false;
  entry.trouble.clear();
  return entry;
}

void NodeTable::Detach(const std::string& name) {
  auto found = entries_.find(name);
  if (found != entries_.end()) found->second.connected = false;
}

bool NodeTable::Heartbeat(const std::string& name, const std::string& trouble, Time now) {
  auto found = entries_.find(name);
  if (found == entries_.end() || !found->second.registered || found->second.lost) return false;
  found->second.liveness.Signal(now);
  found->second.trouble = trouble;
  return true;
}

std::vector<std::string> NodeTable::TakeLost(Time now) {
  std::vector<std::string> lost;
  for (auto& [name, entry] : entries_) {
    if (entry.lost || entry.liveness.At(now) != Tardiness::kLost) continue;
    entry.lost = true;
    lost.push_back(name);
  }
  return lost;
}

std::vector<std::string> NodeTable::LostFor(std::chrono::milliseconds silence, Time now) const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) {
    if (entry.lost && entry.liveness.Silence(now) >= silence) names.push_back(name);
  }
  return names;
}

bool NodeTable::Ready(const std::string& name, Time now) const {
  auto found = entries_.find(name);
  return found != entries_.end() && found->second.connected && !found->second.lost &&
         found->second.trouble.empty() && found->second.liveness.At(now) == Tardiness::kOnTime;
}

std::chrono::seconds NodeTable::Silence(const std::string& name, Time now) const {
  auto found = entries_.find(name);
  return found == entries_.end() ? std::chrono::seconds(0) : found->second.liveness.Silence(now);
}

}  // namespace attune::launching
