#include "coordinator/launching/node_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune::launching {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

Liveness::Time At(int milliseconds_since_start) {
  return Liveness::Time(seconds(100) + milliseconds(milliseconds_since_start));
}

TEST(Liveness, OnTimeLateLost) {
  Liveness liveness({seconds(2), seconds(10)}, At(0));
  EXPECT_EQ(liveness.At(At(4000)), Tardiness::kOnTime);
  EXPECT_EQ(liveness.At(At(4001)), Tardiness::kLate);
  EXPECT_EQ(liveness.At(At(9999)), Tardiness::kLate);
  EXPECT_EQ(liveness.At(At(10000)), Tardiness::kLost);
  liveness.Signal(At(9000));
  EXPECT_EQ(liveness.At(At(10000)), Tardiness::kOnTime);
}

class NodeTableTest : public testing::Test {
 protected:
  void Register(const std::string& name, int at) {
    v1::RegisterWorker worker;
    worker.set_node(name);
    worker.set_slots(2);
    nodes_.Register(worker, "address", At(at));
  }
  NodeTable nodes_{LivenessOptions{seconds(2), seconds(10)}};
};

TEST_F(NodeTableTest, ReadyWhileItBeats) {
  Register("a", 0);
  EXPECT_TRUE(nodes_.Ready("a", At(3000)));
  EXPECT_FALSE(nodes_.Ready("a", At(5000)));
  EXPECT_TRUE(nodes_.Heartbeat("a", "", At(5000)));
  EXPECT_TRUE(nodes_.Ready("a", At(5000)));
  EXPECT_FALSE(nodes_.Ready("b", At(0)));
}

TEST_F(NodeTableTest, LostOnceUntilItRegistersAgain) {
  Register("a", 0);
  EXPECT_THAT(nodes_.TakeLost(At(9999)), IsEmpty());
  EXPECT_THAT(nodes_.TakeLost(At(10000)), ElementsAre("a"));
  EXPECT_THAT(nodes_.TakeLost(At(20000)), IsEmpty());
  EXPECT_FALSE(nodes_.Heartbeat("a", "", At(20000))) << "it must register";
  Register("a", 20000);
  EXPECT_TRUE(nodes_.Ready("a", At(20000)));
}

TEST_F(NodeTableTest, WithoutItsStreamItGetsNothingNew) {
  Register("a", 0);
  nodes_.Detach("a");
  EXPECT_FALSE(nodes_.Ready("a", At(100)));
  EXPECT_THAT(nodes_.TakeLost(At(100)), IsEmpty());
  Register("a", 200);
  EXPECT_TRUE(nodes_.Ready("a", At(200)));
}

TEST_F(NodeTableTest, ARestoredNodeHasAGraceTime) {
  v1::Node node;
  node.set_name("a");
  nodes_.Restore(node, At(0), seconds(30), seconds(500));
  EXPECT_FALSE(nodes_.Ready("a", At(0)));
  EXPECT_FALSE(nodes_.Heartbeat("a", "", At(0)));
  EXPECT_THAT(nodes_.TakeLost(At(29999)), IsEmpty());
  EXPECT_THAT(nodes_.TakeLost(At(30000)), ElementsAre("a"));
}

TEST_F(NodeTableTest, ALostNodeStaysLostOverARestartAndIsForgotten) {
  v1::Node node;
  node.set_name("a");
  node.set_state(v1::Node::LOST);
  nodes_.Restore(node, At(0), seconds(30), seconds(500));
  EXPECT_THAT(nodes_.TakeLost(At(60000)), IsEmpty()) << "that was known";
  EXPECT_THAT(nodes_.LostFor(seconds(600), At(99000)), IsEmpty());
  EXPECT_THAT(nodes_.LostFor(seconds(600), At(100000)), ElementsAre("a"));
  Register("a", 100000);
  EXPECT_EQ(nodes_.entries().at("a").node.state(), v1::Node::STATE_UNSPECIFIED);
  EXPECT_THAT(nodes_.LostFor(seconds(600), At(900000)), IsEmpty()) << "nobody says it is lost";
}

}  // namespace
}  // namespace attune::launching
