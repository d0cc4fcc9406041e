#pragma once

// The nodes that have registered, and whether they are there. A plain value owned by the job
// controller.

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "attune/v1/nodes.pb.h"
#include "attune/v1/worker.pb.h"
#include "coordinator/launching/liveness.h"

namespace attune::launching {

class NodeTable {
 public:
  using Time = Liveness::Time;
  struct Entry {
    v1::Node node;  // without state and slots_used, which depend on the moment
    Liveness liveness;
    bool registered = false;  // since this coordinator started
    bool connected = false;   // its stream is up
    bool lost = false;
    std::string trouble;  // why it can do no work, by its own word
  };

  explicit NodeTable(const LivenessOptions& options) : options_(options) {}

  // After a restart: a node known from before counts as there until grace has passed, unless it was
  // lost already, silence ago.
  void Restore(const v1::Node& node, Time now, std::chrono::milliseconds grace,
               std::chrono::milliseconds silence);
  Entry& Register(const v1::RegisterWorker& worker, const std::string& address, Time now);
  // Its stream has ended: it gets nothing new, and what it runs goes on until it is lost.
  void Detach(const std::string& name);
  // False for a node that is not registered.
  bool Heartbeat(const std::string& name, const std::string& trouble, Time now);
  // Nodes that became lost since the last call.
  std::vector<std::string> TakeLost(Time now);

  // Lost nodes that have been silent for this long, to be erased.
  std::vector<std::string> LostFor(std::chrono::milliseconds silence, Time now) const;
  void Erase(const std::string& name) { entries_.erase(name); }

  // May it get work now?
  bool Ready(const std::string& name, Time now) const;
  std::chrono::seconds Silence(const std::string& name, Time now) const;
  const std::map<std::string, Entry>& entries() const { return entries_; }
  bool empty() const { return entries_.empty(); }

 private:
  const LivenessOptions options_;
  std::map<std::string, Entry> entries_;
};

}  // namespace attune::launching
