#include "coordinator/scheduling/placement.h"

#include <gtest/gtest.h>

namespace attune::scheduling {
namespace {

const TimePoint kNow{std::chrono::seconds(1000)};

std::vector<uint32_t> Range(uint32_t count) {
  std::vector<uint32_t> slots;
  for (uint32_t i = 0; i < count; ++i) slots.push_back(i);
  return slots;
}

NodeView Node(const std::string& name, uint32_t slots, uint32_t free) {
  return {name, true, slots, Range(free)};
}

// "a:0 a:1 b:0"
std::string Text(const Placement& placement) {
  std::string text;
  for (const Slot& slot : placement.slots) {
    text += (text.empty() ? "" : " ") + slot.node + ":" + std::to_string(slot.slot);
  }
  return text;
}

struct Scenario {
  const char* name;
  std::vector<NodeView> nodes;
  std::vector<WaitingJob> queue;
  std::vector<HoldingJob> holding;
  std::map<std::string, std::string> placed;  // job: slots
  std::map<std::string, std::string> waits;   // job: summary
};

const Scenario kScenarios[] = {
    {"one node that fits is preferred",
     {Node("a", 1, 1), Node("b", 2, 2)},
     {{"j", 2, 2}},
     {},
     {{"j", "b:0 b:1"}},
     {}},
    {"the tightest node that fits is taken",
     {Node("a", 4, 4), Node("b", 2, 2)},
     {{"j", 2, 2}},
     {},
     {{"j", "b:0 b:1"}},
     {}},
    {"a gang larger than a node fills the emptiest first",
     {Node("a", 1, 1), Node("b", 2, 2)},
     {{"j", 3, 3}},
     {},
     {{"j", "b:0 b:1 a:0"}},
     {}},
    {"elastic: as many as are free, up to the maximum",
     {Node("a", 2, 2), Node("b", 1, 1)},
     {{"j", 1, 8}},
     {},
     {{"j", "a:0 a:1 b:0"}},
     {}},
    {"all ranks or none",
     {Node("a", 4, 2)},
     {{"j", 4, 4}},
     {{"job-x", 2}},
     {},
     {{"j", "needs 4 slots; 2 of 4 slots free; job-x holds 2"}}},
    {"more than the cluster has",
     {Node("a", 2, 2)},
     {{"j", 4, 4}},
     {},
     {},
     {{"j", "needs 4 slots; the cluster has 2 in total"}}},
    {"one that can never run holds back nobody",
     {Node("a", 2, 2)},
     {{"big", 4, 4}, {"small", 1, 1}},
     {},
     {{"small", "a:0"}},
     {{"big", "needs 4 slots; the cluster has 2 in total"}}},
    {"first in, first out: a small one does not overtake",
     {Node("a", 2, 1)},
     {{"first", 2, 2}, {"second", 1, 1}},
     {{"job-x", 1}},
     {},
     {{"first", "needs 2 slots; 1 of 2 slots free; job-x holds 1"},
      {"second", "waits behind first, which came first"}}},
    {"backoff waits and holds back nobody",
     {Node("a", 1, 1)},
     {{"failed", 1, 1, kNow + std::chrono::seconds(5)}, {"next", 1, 1}},
     {},
     {{"next", "a:0"}},
     {{"failed", "waits 5 seconds before its next attempt, because the last one failed"}}},
    {"the last attempt must have stopped",
     {Node("a", 2, 1)},
     {{"j", 1, 1, TimePoint{}, 1}},
     {{"j", 1}},
     {},
     {{"j", "waits until 1 trainer of its last attempt has ended"}}},
    {"a node that is not ready gets nothing",
     {{"a", false, 2, {0, 1}}, Node("b", 1, 1)},
     {{"j", 2, 2}},
     {},
     {},
     {{"j", "needs 2 slots; the cluster has 1 in total"}}},
    {"a node that gave a bad start is avoided",
     {Node("a", 1, 1), Node("b", 2, 2)},
     {{"j", 1, 1, TimePoint{}, 0, {"a"}}},
     {},
     {{"j", "b:0"}},
     {}},
    {"it is avoided also while the others are taken",
     {Node("a", 1, 1), Node("b", 1, 0)},
     {{"j", 1, 1, TimePoint{}, 0, {"a"}}},
     {{"job-x", 1}},
     {},
     {{"j", "needs 1 slot; 0 of 1 slot free; job-x holds 1"}}},
    {"but used when the job does not fit without it",
     {Node("a", 1, 1), Node("b", 1, 1)},
     {{"j", 2, 2, TimePoint{}, 0, {"a"}}},
     {},
     {{"j", "a:0 b:0"}},
     {}},
    {"no node at all",
     {},
     {{"j", 1, 1}},
     {},
     {},
     {{"j", "needs 1 slot; the cluster has 0 in total"}}},
    {"two jobs share a node without sharing slots",
     {Node("a", 3, 3)},
     {{"one", 2, 2}, {"two", 1, 1}},
     {},
     {{"one", "a:0 a:1"}, {"two", "a:2"}},
     {}},
    {"a job placed now counts as holding for the next",
     {Node("a", 2, 2)},
     {{"one", 1, 1}, {"two", 2, 2}},
     {},
     {{"one", "a:0"}},
     {{"two", "needs 2 slots; 1 of 2 slots free; one holds 1"}}},
};

TEST(MakePlan, Scenarios) {
  for (const Scenario& scenario : kScenarios) {
    SCOPED_TRACE(scenario.name);
    Plan plan = MakePlan({kNow, scenario.nodes, scenario.queue, scenario.holding});
    std::map<std::string, std::string> placed, waits;
    for (const Placement& placement : plan.placements) placed[placement.job_id] = Text(placement);
    for (const auto& [id, wait] : plan.waits) {
      waits[id] = wait.summary;
      EXPECT_FALSE(wait.reasons.empty());
      EXPECT_FALSE(wait.unblocks.empty());
    }
    EXPECT_EQ(placed, scenario.placed);
    EXPECT_EQ(waits, scenario.waits);
  }
}

TEST(MakePlan, NamesNodesThatAreAway) {
  Plan plan = MakePlan({kNow, {{"a", false, 2, {}}, Node("b", 1, 1)}, {{"j", 2, 2}}, {}});
  EXPECT_EQ(plan.waits["j"].reasons.back(), "node a (2 slots) is not ready");
}

}  // namespace
}  // namespace attune::scheduling
