#include "coordinator/jobs/larger_nodes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune::jobs {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

NodeMemory Cpu(const std::string& name, uint64_t memory_bytes, uint32_t slots = 1) {
  return {name, "cpu", memory_bytes, slots, /*ready=*/true};
}

TEST(NodesTooSmall, AreAllThatHaveNoMoreThanTheRefusedOne) {
  const std::vector<NodeMemory> nodes = {Cpu("a", 16), Cpu("b", 8), Cpu("c", 16), Cpu("d", 32)};
  EXPECT_THAT(NodesTooSmall({"a"}, 1, {}, nodes), ElementsAre("a", "b", "c"));
  EXPECT_THAT(NodesTooSmall({"b"}, 1, {}, nodes), ElementsAre("b"));
  EXPECT_THAT(NodesTooSmall({"d"}, 1, {"a", "b", "c"}, nodes), IsEmpty()) << "none is left";
}

TEST(NodesTooSmall, LeavesNothingWhereTheRestHasTooFewSlots) {
  const std::vector<NodeMemory> nodes = {Cpu("a", 16), Cpu("b", 32), Cpu("c", 32)};
  EXPECT_THAT(NodesTooSmall({"a", "b"}, 2, {}, nodes), ElementsAre("a"));
  EXPECT_THAT(NodesTooSmall({"a", "b"}, 3, {}, nodes), IsEmpty());
  std::vector<NodeMemory> away = nodes;
  away[2].ready = false;
  EXPECT_THAT(NodesTooSmall({"a", "b"}, 2, {}, away), IsEmpty());
  EXPECT_THAT(NodesTooSmall({"a", "b"}, 2, {"b"}, nodes), IsEmpty()) << "one was tried before";
}

TEST(NodesTooSmall, ComparesWhatARankHas) {
  // Two ranks had 8 each; one alone on a node of 16 has all of it, two on one of 16 have not.
  const std::vector<NodeMemory> nodes = {Cpu("a", 16, 2), Cpu("b", 16, 1), Cpu("c", 16, 1),
                                         Cpu("d", 16, 4)};
  EXPECT_THAT(NodesTooSmall({"a", "a"}, 2, {}, nodes), ElementsAre("a", "d"));
}

TEST(NodesTooSmall, KnowsNothingOfAnotherGpu) {
  const std::vector<NodeMemory> nodes = {{"a", "small GPU", 64, 1, true},
                                         {"b", "small GPU", 64, 1, true},
                                         {"c", "large GPU", 64, 1, true}};
  EXPECT_THAT(NodesTooSmall({"a"}, 1, {}, nodes), ElementsAre("a", "b"));
}

TEST(NodesTooSmall, EndsWhereAnAvoidedNodeHadToBeUsed) {
  EXPECT_THAT(NodesTooSmall({"a"}, 1, {"a"}, {Cpu("a", 16), Cpu("b", 32)}), IsEmpty());
  EXPECT_THAT(NodesTooSmall({"gone"}, 1, {}, {Cpu("a", 16)}), IsEmpty());
}

}  // namespace
}  // namespace attune::jobs
