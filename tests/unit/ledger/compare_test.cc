#include <gmock/gmock.h>

#include "tests/unit/ledger/run.h"

namespace attune::ledger {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using CompareTest = RunTest;

void ExpectUses(const Uses& uses, uint64_t planned, uint64_t used, uint64_t missing,
                uint64_t repeated, uint64_t to_come = 0) {
  EXPECT_EQ(uses.planned, planned);
  EXPECT_EQ(uses.used, used);
  EXPECT_EQ(uses.missing, missing);
  EXPECT_EQ(uses.repeated, repeated);
  EXPECT_EQ(uses.to_come, to_come);
}

std::vector<std::string> Ids(const std::vector<ListedUse>& uses) {
  std::vector<std::string> ids;
  for (const ListedUse& use : uses)
    ids.push_back(use.id.substr(0, 2) + " epoch " + std::to_string(use.epoch) + " step " +
                  std::to_string(use.step));
  return ids;
}

TEST_F(CompareTest, AWholeRunUsesEveryExampleAsPlanned) {
  const Comparison result = Compare(*plan_, {{LogOf(1, 0, 0, {1, 2, 3, 4, 5})}}, true);
  ExpectUses(result.uses, 8, 8, 0, 0);
  EXPECT_THAT(result.problems, IsEmpty());
  ASSERT_THAT(result.epochs, SizeIs(2));
  ExpectUses(result.epochs[0].uses, 5, 5, 0, 0);
  ExpectUses(result.epochs[1].uses, 3, 3, 0, 0);  // the run ends within it
  EXPECT_EQ(result.epochs[1].examples, 5u);
  ASSERT_THAT(result.spans, SizeIs(1));
  EXPECT_TRUE(result.spans[0].kept);
  EXPECT_EQ(result.spans[0].last, 5u);
  EXPECT_EQ(result.applied_steps, 5u);
}

TEST_F(CompareTest, StepsDoneAgainCountOnce) {
  // The first attempt was lost after step 4, with a checkpoint of step 2; the second took no step;
  // the third, of other ranks, went on from that checkpoint.
  const std::vector<StepLog> logs = {LogOf(1, 0, 0, {1, 2, 3, 4}), LogOf(2, 2, 1, {}),
                                     LogOf(3, 2, 1, {3, 4, 5}, 1)};
  const Comparison result = Compare(*plan_, logs, true);
  ExpectUses(result.uses, 8, 8, 0, 0);
  EXPECT_THAT(result.problems, IsEmpty());
  ASSERT_THAT(result.spans, SizeIs(3));
  EXPECT_EQ(result.spans[1].first, 3u);
  EXPECT_EQ(result.spans[1].last, 4u);
  EXPECT_FALSE(result.spans[1].kept);
  EXPECT_TRUE(result.spans[2].kept);
  EXPECT_EQ(result.spans[2].ranks, 1u);
}

// A later attempt may go back behind an earlier one, when a checkpoint was damaged.
TEST_F(CompareTest, TheModelDescendsFromWhatItWasResumedFrom) {
  StepLog wrong = LogOf(2, 1, 1, {2});
  wrong.steps[0].sum.digest ^= 1;  // of an attempt that the model does not descend from
  const std::vector<StepLog> logs = {LogOf(1, 0, 0, {1, 2, 3}), wrong, LogOf(3, 3, 1, {4, 5})};
  const Comparison result = Compare(*plan_, logs, true);
  ExpectUses(result.uses, 8, 8, 0, 0);
  EXPECT_THAT(result.problems, IsEmpty());
}

TEST_F(CompareTest, AnUnfinishedRunHasStepsToCome) {
  const std::vector<StepLog> logs = {LogOf(1, 0, 0, {1, 2, 3})};
  const Comparison result = Compare(*plan_, logs, false);
  ExpectUses(result.uses, 8, 5, 0, 0, 3);
  ExpectUses(result.epochs[1].uses, 3, 0, 0, 0, 3);
  EXPECT_EQ(result.applied_steps, 3u);
  EXPECT_THAT(result.problems, IsEmpty());
  // One that says it is finished has lost them.
  ExpectUses(Compare(*plan_, logs, true).uses, 8, 5, 3, 0);
  ExpectUses(Compare(*plan_, {}, false).uses, 8, 0, 0, 0, 8);
}

TEST_F(CompareTest, ALostStepIsTold) {
  const Comparison result = Compare(*plan_, {{LogOf(1, 0, 0, {1, 3, 4, 5})}}, true);
  ExpectUses(result.uses, 8, 6, 2, 0);
  ASSERT_THAT(result.problems, SizeIs(1));
  EXPECT_EQ(result.problems[0].kind, StepProblem::Kind::kLost);
  EXPECT_EQ(result.problems[0].step, 2u);
  uint64_t place = 0;
  EXPECT_THAT(Ids(List(*plan_, result, StepVerdict::kMissing, &place, 10)),
              ElementsAre("22 epoch 1 step 2", "44 epoch 1 step 2"));
  EXPECT_THAT(List(*plan_, result, StepVerdict::kMissing, &place, 10), IsEmpty());
  EXPECT_THAT(List(*plan_, result, StepVerdict::kRepeated, &(place = 0), 10), IsEmpty());
}

// A checkpoint of an attempt whose record is gone: nobody knows what its steps had.
TEST_F(CompareTest, ALostRecordIsLostSteps) {
  const Comparison result = Compare(*plan_, {{LogOf(2, 3, 1, {4, 5})}}, true);
  ExpectUses(result.uses, 8, 3, 5, 0);
  EXPECT_THAT(result.problems, SizeIs(3));
}

TEST_F(CompareTest, AWrongDigestIsTold) {
  std::vector<StepLog> logs = {LogOf(1, 0, 0, {1, 2, 3, 4, 5})};
  logs[0].steps[1].sum = SumOf({2, 0});  // example 0 in place of 4
  Comparison result = Compare(*plan_, logs, true);
  ExpectUses(result.uses, 8, 6, 2, 0);
  ASSERT_THAT(result.problems, SizeIs(1));
  EXPECT_EQ(result.problems[0].kind, StepProblem::Kind::kDiffers);
  EXPECT_EQ(result.problems[0].applied, SumOf({0, 2}));
  EXPECT_EQ(result.problems[0].planned, SumOf({2, 4}));
  // One example twice in its step, another not at all: the count alone would not tell.
  logs[0].steps[1].sum = SumOf({2, 2});
  ExpectUses(Compare(*plan_, logs, true).uses, 8, 6, 2, 0);
}

TEST_F(CompareTest, AStepAppliedTwiceIsTold) {
  const Comparison result = Compare(*plan_, {{LogOf(1, 0, 0, {1, 2, 2, 3, 4, 5})}}, true);
  ExpectUses(result.uses, 8, 8, 0, 2);
  ASSERT_THAT(result.problems, SizeIs(1));
  EXPECT_EQ(result.problems[0].kind, StepProblem::Kind::kRepeated);
  uint64_t place = 0;
  EXPECT_THAT(Ids(List(*plan_, result, StepVerdict::kRepeated, &place, 1)),
              ElementsAre("22 epoch 1 step 2"));
  EXPECT_THAT(Ids(List(*plan_, result, StepVerdict::kRepeated, &place, 1)),
              ElementsAre("44 epoch 1 step 2"));
}

TEST_F(CompareTest, AStepThatThePlanLacksIsTold) {
  StepLog log = LogOf(1, 0, 0, {1, 2, 3, 4, 5});
  log.steps.push_back({6, SumOf({1, 2})});
  const Comparison result = Compare(*plan_, {{log}}, true);
  ExpectUses(result.uses, 8, 8, 0, 2);
  ASSERT_THAT(result.problems, SizeIs(1));
  EXPECT_EQ(result.problems[0].kind, StepProblem::Kind::kUnplanned);
}

TEST_F(CompareTest, AnAttemptOnAnotherPlanProvesNothing) {
  StepLog log = LogOf(1, 0, 0, {1, 2, 3, 4, 5});
  log.attempt.plan_digest = std::string(64, 'b');
  const Comparison result = Compare(*plan_, {{log}}, true);
  ExpectUses(result.uses, 8, 0, 8, 0);
  ASSERT_FALSE(result.problems.empty());
  EXPECT_EQ(result.problems[0].kind, StepProblem::Kind::kOtherPlan);
}

TEST(ExampleSum, DoesNotDependOnOrderNorOnWhoHadWhat) {
  EXPECT_EQ(SumOf({1, 2, 3}), SumOf({3, 1, 2}));
  ExampleSum both = SumOf({1});
  both.Add(SumOf({2, 3}));
  EXPECT_EQ(both, SumOf({1, 2, 3}));
  EXPECT_NE(SumOf({1, 1, 2}), SumOf({1, 2, 2}));
  EXPECT_NE(SumOf({1, 4}), SumOf({2, 3}));
  EXPECT_EQ(DigestText(0xabc), "0000000000000abc");
}

}  // namespace
}  // namespace attune::ledger
