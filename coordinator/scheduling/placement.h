#pragma once

// Who runs where: a pure function of what the cluster looks like. The job controller builds the
// view, checks the plan against the current state and commits it.
//
// Policy: first in, first out, gangs. The first job in the queue gets as many slots as fit, between
// its minimum and its maximum, or none. A job that could run on this cluster but not now holds back
// those behind it (so a large one is never starved by small ones); one that cannot run now whatever
// is freed (the cluster is too small, it backs off after a failure, its last attempt is still
// stopping) holds back nobody. Nodes that a job avoids (a bad start, too little memory) count for
// it only when it does not fit without them. A gang goes to the single node with the least room
// that fits it; else it fills the emptiest nodes.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"

namespace attune::scheduling {

struct NodeView {
  std::string name;
  bool ready = false;  // a node that is not gets nothing and its slots do not count
  uint32_t slots = 0;
  std::vector<uint32_t> free;  // slot numbers, ascending
  std::string trouble{};       // why it is not ready, if that is known
};

struct WaitingJob {
  std::string id;
  uint32_t ranks_min = 1;
  uint32_t ranks_max = 1;
  TimePoint not_before{};          // backing off until then
  uint32_t stopping = 0;           // trainers of its last attempt that have not ended yet
  std::set<std::string> avoids{};  // nodes
};

// A job that holds slots now.
struct HoldingJob {
  std::string id;
  uint32_t slots = 0;
};

struct ClusterView {
  TimePoint now{};
  std::vector<NodeView> nodes;
  std::vector<WaitingJob> queue;  // first is next
  std::vector<HoldingJob> holding;
};

struct Slot {
  std::string node;
  uint32_t slot = 0;
  bool operator==(const Slot&) const = default;
};

struct Placement {
  std::string job_id;
  std::vector<Slot> slots;  // by rank
};

// Why a job was not placed.
struct Wait {
  std::string summary;                // one sentence
  std::vector<std::string> reasons;   // each with the counts it used
  std::vector<std::string> unblocks;  // what would let it go on
};

struct Plan {
  std::vector<Placement> placements;
  std::map<std::string, Wait> waits;  // by job id: every queued job that was not placed
};

Plan MakePlan(const ClusterView& view);

// Slots of all ready nodes.
uint32_t TotalSlots(const ClusterView& view);

}  // namespace attune::scheduling
