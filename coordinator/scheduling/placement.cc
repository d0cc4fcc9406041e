#include "coordinator/scheduling/placement.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/text.h"

namespace attune::scheduling {
namespace {

struct FreeNode {
  std::string name;
  uint32_t slots = 0;  // taken ones too
  std::vector<uint32_t> free;
};
using FreeNodes = std::vector<FreeNode*>;

uint32_t CountFree(const FreeNodes& nodes) {
  size_t count = 0;
  for (const FreeNode* node : nodes) count += node->free.size();
  return static_cast<uint32_t>(count);
}

uint32_t CountSlots(const FreeNodes& nodes) {
  uint32_t count = 0;
  for (const FreeNode* node : nodes) count += node->slots;
  return count;
}

// Those that the job may have.
FreeNodes NodesFor(const WaitingJob& job, std::vector<FreeNode>& nodes) {
  FreeNodes all, good;
  for (FreeNode& node : nodes) {
    all.push_back(&node);
    if (!job.avoids.contains(node.name)) good.push_back(&node);
  }
  return CountSlots(good) >= job.ranks_min ? good : all;
}

// Takes count slots out of nodes; there are enough.
std::vector<Slot> TakeSlots(const FreeNodes& nodes, uint32_t count) {
  FreeNodes order = nodes;
  FreeNode* best = nullptr;
  for (FreeNode* node : nodes) {
    if (node->free.size() < count) continue;
    if (best == nullptr || node->free.size() < best->free.size()) best = node;
  }
  if (best != nullptr) {
    order = {best};
  } else {
    std::stable_sort(order.begin(), order.end(), [](const FreeNode* a, const FreeNode* b) {
      return a->free.size() > b->free.size();
    });
  }
  std::vector<Slot> taken;
  for (FreeNode* node : order) {
    size_t wanted = std::min<size_t>(count - taken.size(), node->free.size());
    for (size_t i = 0; i < wanted; ++i) taken.push_back({node->name, node->free[i]});
    node->free.erase(node->free.begin(), node->free.begin() + static_cast<ptrdiff_t>(wanted));
  }
  return taken;
}

std::string Holders(const std::vector<HoldingJob>& holding) {
  std::string text;
  size_t shown = 0;
  for (const HoldingJob& job : holding) {
    if (job.slots == 0) continue;
    if (shown == 3) return text + " and others";
    text += (text.empty() ? "" : ", ") + job.id + " holds " + std::to_string(job.slots);
    ++shown;
  }
  return text;
}

Wait BackingOff(const WaitingJob& job, TimePoint now) {
  auto left = std::chrono::ceil<std::chrono::seconds>(job.not_before - now).count();
  std::string seconds = CountOf(static_cast<uint64_t>(left), "second");
  return {"waits " + seconds + " before its next attempt, because the last one failed",
          {"backing off for another " + seconds},
          {"nothing to do: it is tried again by itself"}};
}

Wait Stopping(const WaitingJob& job) {
  std::string trainers = CountOf(job.stopping, "trainer");
  return {"waits until " + trainers + " of its last attempt has ended",
          {trainers + " of the last attempt still stopping"},
          {"nothing to do: a trainer that does not stop is killed"}};
}

Wait ClusterTooSmall(const WaitingJob& job, const ClusterView& view, uint32_t total) {
  size_t nodes = static_cast<size_t>(std::count_if(view.nodes.begin(), view.nodes.end(),
                                                   [](const NodeView& n) { return n.ready; }));
  std::string needs = "needs " + CountOf(job.ranks_min, "slot") + "; the cluster has " +
                      std::to_string(total) + " in total";
  Wait wait{needs, {needs + " on " + CountOf(nodes, "ready node")}, {}};
  wait.unblocks.push_back(
      nodes == 0 ? "start a worker with at least " + CountOf(job.ranks_min, "slot")
                 : "add a worker with at least " + CountOf(job.ranks_min - total, "more slot") +
                       ", or submit with ranks.min of at most " + std::to_string(total));
  for (const NodeView& node : view.nodes) {
    if (node.ready) continue;
    wait.reasons.push_back("node " + node.name + " (" + CountOf(node.slots, "slot") +
                           ") is not ready" + (node.trouble.empty() ? "" : ": " + node.trouble));
  }
  return wait;
}

Wait NotEnoughFree(const WaitingJob& job, const ClusterView& view, uint32_t free, uint32_t total) {
  std::string holders = Holders(view.holding);
  std::string counts = std::to_string(free) + " of " + CountOf(total, "slot") + " free" +
                       (holders.empty() ? "" : "; " + holders);
  Wait wait{
      "needs " + CountOf(job.ranks_min, "slot") + "; " + counts,
      {counts},
      {std::to_string(job.ranks_min - free) + " more free: a running job ends or is cancelled"}};
  for (const std::string& node : job.avoids) {
    wait.reasons.push_back("avoids node " + node +
                           ", where an attempt ended before its first step or has too little "
                           "memory");
  }
  return wait;
}

Wait Behind(const WaitingJob& job, const std::string& head) {
  return {"waits behind " + head + ", which came first",
          {head + " is next in the queue and does not fit yet"},
          {head + " starts or is cancelled"}};
}

}  // namespace

uint32_t TotalSlots(const ClusterView& view) {
  uint32_t total = 0;
  for (const NodeView& node : view.nodes) total += node.ready ? node.slots : 0;
  return total;
}

Plan MakePlan(const ClusterView& view) {
  Plan plan;
  std::vector<FreeNode> nodes;
  for (const NodeView& node : view.nodes) {
    if (node.ready) nodes.push_back({node.name, node.slots, node.free});
  }
  const uint32_t total = TotalSlots(view);
  std::vector<HoldingJob> holding = view.holding;
  std::optional<std::string> head;  // the job that holds back the rest
  for (const WaitingJob& job : view.queue) {
    const FreeNodes usable = NodesFor(job, nodes);
    const uint32_t free = CountFree(usable);
    if (job.not_before > view.now) {
      plan.waits[job.id] = BackingOff(job, view.now);
    } else if (job.ranks_min > total) {
      plan.waits[job.id] = ClusterTooSmall(job, view, total);
    } else if (job.stopping > 0) {
      plan.waits[job.id] = Stopping(job);
    } else if (head) {
      plan.waits[job.id] = Behind(job, *head);
    } else if (job.ranks_min > free) {
      ClusterView now = view;
      now.holding = holding;
      plan.waits[job.id] = NotEnoughFree(job, now, free, CountSlots(usable));
      head = job.id;
    } else {
      uint32_t count = std::min(std::max(job.ranks_max, job.ranks_min), free);
      plan.placements.push_back({job.id, TakeSlots(usable, count)});
      holding.push_back({job.id, count});
    }
  }
  return plan;
}

}  // namespace attune::scheduling
