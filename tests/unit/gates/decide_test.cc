// Known cases: better, worse, equal, too few; what a verdict is made of.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/gates/gates.h"
#include "tests/unit/gates/facts.h"

namespace attune::gates {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

v1::GateReport Decided(FactsBuilder& builder) {
  auto report = Decide(builder.facts());
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return report.ok() ? *report : v1::GateReport();
}

TEST(Champion, ABetterCandidatePasses) {
  FactsBuilder builder;
  builder.AddLosses("goal", 200, 2.0, -0.1);
  builder.RequireChampion("loss", 0.0);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::PASSED);
  EXPECT_EQ(report.candidate(), "docs@2");
  EXPECT_EQ(report.champion(), "docs@1");
  const v1::GateResult* gate = FindGate(report, "champion");
  EXPECT_NEAR(gate->value(), -0.1, 0.01);
  EXPECT_LT(gate->upper(), -0.09);
  EXPECT_EQ(gate->examples(), 200u);
  EXPECT_EQ(gate->method(), "paired bootstrap (BCa)");
  EXPECT_THAT(
      gate->explanation(),
      MatchesRegex(R"(.*, better by 0\.[01].* \(by at least 0\.09.*, 95 % sure\), margin 0)"));
  EXPECT_THAT(report.summary(), StartsWith("passed all 2 gates: loss "));
  ASSERT_EQ(gate->deciding_size(), 10);
  EXPECT_LT(gate->deciding(0).candidate(), gate->deciding(0).champion());
}

TEST(Champion, AWorseCandidateFails) {
  FactsBuilder builder;
  builder.AddLosses("goal", 200, 2.0, 0.1);
  builder.RequireChampion("loss", 0.05);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_THAT(report.summary(), StartsWith("refused: loss "));
  // Of what fails, the bound says how sure that is.
  EXPECT_THAT(
      report.summary(),
      MatchesRegex(R"(.*, worse by 0\.[01].* \(by at least 0\.[01].*, 95 % sure\), margin 0.05)"));
  const v1::GateResult* gate = FindGate(report, "champion");
  ASSERT_EQ(gate->deciding_size(), 10);
  EXPECT_GT(gate->deciding(0).candidate(), gate->deciding(0).champion());
  EXPECT_THAT(gate->deciding(0).prompt(), StartsWith("prompt "));
}

TEST(Champion, TheSameModelIsNotInferiorAndNotSuperior) {
  FactsBuilder builder;
  builder.AddLosses("goal", 50, 2.0, 0.0, 0.0);
  builder.RequireChampion("loss", 0.0);
  EXPECT_EQ(Decided(builder).verdict(), v1::GateReport::PASSED);
  builder.RequireChampion("loss", -0.01);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_THAT(report.summary(), HasSubstr("at least 0.01 better is asked for"));
}

TEST(Champion, WithinTheMarginButUnsureIsInconclusiveAndSaysHowManyWouldDo) {
  FactsBuilder builder;
  builder.AddLosses("goal", 40, 2.0, 0.02, 0.3);
  builder.RequireChampion("loss", 0.1);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::INCONCLUSIVE);
  EXPECT_THAT(report.summary(), StartsWith("undecided: loss "));
  EXPECT_THAT(report.summary(), HasSubstr("it has 40 examples, about "));
  EXPECT_THAT(report.summary(), MatchesRegex(R"(.* \((worse )?by at most 0\.1.*, 95 % sure\).*)"));
  // With so many it can be decided.
  FactsBuilder more;
  more.AddLosses("goal", 2000, 2.0, 0.02, 0.3);
  more.RequireChampion("loss", 0.1);
  EXPECT_EQ(Decided(more).verdict(), v1::GateReport::PASSED);
}

TEST(Champion, TooFewAreInconclusiveHoweverGood) {
  FactsBuilder builder;
  builder.AddLosses("goal", 9, 2.0, -1.0);
  builder.RequireChampion("loss", 0.0);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::INCONCLUSIVE);
  EXPECT_THAT(report.summary(), HasSubstr("9 examples are too few to say, at least 10"));
  // Without a confidence the estimate alone decides.
  builder.RequireChampion("loss", 0.0, 0);
  EXPECT_EQ(Decided(builder).verdict(), v1::GateReport::PASSED);
  EXPECT_EQ(FindGate(Decided(builder), "champion")->method(), "estimate");
  EXPECT_THAT(FindGate(Decided(builder), "champion")->explanation(), HasSubstr("better by 0.9"));
  EXPECT_THAT(FindGate(Decided(builder), "champion")->explanation(),
              HasSubstr(" (the estimate alone)"));
}

TEST(Champion, WithoutOneItPasses) {
  FactsBuilder builder;
  builder.AddLosses("goal", 50, 2.0, 0.0);
  builder.RequireChampion("loss", 0.0);
  builder.Retain("math", "loss", 0.05);
  builder.AskMax("loss", 3.0);
  builder.NoChampion();
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::PASSED);
  EXPECT_EQ(report.champion(), "");
  EXPECT_EQ(FindGate(report, "champion")->explanation(), "there is no champion yet");
  EXPECT_EQ(FindGate(report, "retention", "math")->explanation(), "there is no champion yet");
  EXPECT_EQ(report.skills_size(), 0);
}

TEST(Champion, WithoutOneAndWithoutAGoalNothingWasMeasured) {
  FactsBuilder builder;
  builder.AddLosses("goal", 50, 2.0, 0.0);
  builder.RequireChampion("loss", 0.0);
  builder.NoChampion();
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::INCONCLUSIVE);
  EXPECT_THAT(report.summary(), HasSubstr("no goal to meet"));
}

// What was measured in bfloat16 on a GPU against float32 on a CPU.
TEST(Alike, OtherPrecisionNeitherPassesNorRefuses) {
  for (const double worse : {-0.2, 0.2}) {
    FactsBuilder builder;
    builder.AddLosses("goal", 200, 2.0, worse);
    builder.RequireChampion("loss", 0.0);
    v1::ArtifactFacts& candidate = *builder.facts().mutable_candidate()->mutable_artifact();
    v1::ArtifactFacts& champion = *builder.facts().mutable_champion()->mutable_artifact();
    candidate.set_device("NVIDIA H100");
    candidate.set_precision("bfloat16");
    champion.set_precision("bfloat16");
    const v1::GateReport::Verdict alone = Decided(builder).verdict();
    EXPECT_EQ(alone, worse > 0 ? v1::GateReport::FAILED : v1::GateReport::PASSED);
    champion.set_device("cpu");
    champion.set_precision("float32");
    const v1::GateReport report = Decided(builder);
    EXPECT_EQ(report.verdict(), v1::GateReport::INCONCLUSIVE);
    EXPECT_THAT(report.summary(),
                HasSubstr("the candidate was measured in bfloat16 on NVIDIA H100, "
                          "the champion in float32 on cpu"));
    EXPECT_EQ(report.measured(), "bfloat16 on NVIDIA H100");
    // What is asked of the candidate alone counts.
    builder.AskMax("loss", 1.0);
    EXPECT_EQ(Decided(builder).verdict(), v1::GateReport::FAILED);
    // Another device of the same precision is no other number.
    champion.set_precision("bfloat16");
    EXPECT_EQ(FindGate(Decided(builder), "alike"), nullptr);
  }
}

TEST(Champion, ZeroOneScoresAreComparedByTangosIntervalAndMcNemar) {
  FactsBuilder builder;
  builder.AddSuite("goal", 200, [](uint64_t i, auto* candidate, auto* champion) {
    (*champion->mutable_scores())["exact_match"] = i < 100;
    (*candidate->mutable_scores())["exact_match"] = (i >= 12 && i < 100) || (i >= 190 && i < 193);
  });
  builder.RequireChampion("exact_match", 0.02);
  const v1::GateReport report = Decided(builder);
  const v1::GateResult* gate = FindGate(report, "champion");
  EXPECT_EQ(gate->method(), "Tango score interval");
  EXPECT_NEAR(gate->value(), 9.0 / 200, 1e-12);
  // As tests/fixtures/gates/intervals.json has it for 12, 3 and 200.
  EXPECT_NEAR(gate->lower(), 0.0155, 0.002);
  EXPECT_NEAR(gate->upper(), 0.0812, 0.002);
  EXPECT_THAT(gate->explanation(), HasSubstr("3 examples gained, 12 lost, McNemar mid-p 0.02"));
  EXPECT_EQ(gate->verdict(), v1::GateReport::FAILED);
}

TEST(Champion, NoDifferenceOnFewZeroOneScoresDoesNotProveASmallMargin) {
  FactsBuilder builder;
  builder.AddSuite("goal", 20, [](uint64_t i, auto* candidate, auto* champion) {
    (*champion->mutable_scores())["exact_match"] = i % 2;
    (*candidate->mutable_scores())["exact_match"] = i % 2;
  });
  builder.RequireChampion("exact_match", 0.05);
  EXPECT_EQ(Decided(builder).verdict(), v1::GateReport::INCONCLUSIVE);
}

TEST(Champion, NoDifferenceOnFewGradedScoresDoesNotEither) {
  FactsBuilder builder;
  builder.AddSuite("goal", 20, [](uint64_t i, auto* candidate, auto* champion) {
    (*champion->mutable_scores())["rouge_l"] = 0.1 * static_cast<double>(i % 7);
    (*candidate->mutable_scores())["rouge_l"] = 0.1 * static_cast<double>(i % 7);
  });
  builder.RequireChampion("rouge_l", 0.05);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::INCONCLUSIVE);
  EXPECT_EQ(FindGate(report, "champion")->method(), "Clopper-Pearson on the 0 that differ");
}

// Labels of four classes, all predicted right, or alike by both models.
void AllAlike(uint64_t i, v1::ExampleFacts* candidate, v1::ExampleFacts* champion) {
  for (auto* example : {candidate, champion}) {
    example->set_label(std::string(1, static_cast<char>('a' + i % 4)));
    example->set_predicted(example->label());
    example->set_confidence(0.99);
  }
}

TEST(Labels, NoDifferenceOnFewProvesNoSmallMarginAndOnManyDoes) {
  for (const char* metric : {"macro_f1", "calibration_error"}) {
    FactsBuilder few;
    few.AddSuite("goal", 20, AllAlike);
    few.RequireChampion(metric, 0.05);
    const v1::GateReport report = Decided(few);
    EXPECT_EQ(report.verdict(), v1::GateReport::INCONCLUSIVE) << metric;
    EXPECT_EQ(FindGate(report, "champion")->method(), "Clopper-Pearson on the 0 that differ");
    EXPECT_THAT(report.summary(), HasSubstr("examples would do"));
    FactsBuilder many;
    many.AddSuite("goal", 200, AllAlike);
    many.RequireChampion(metric, 0.05);
    EXPECT_EQ(Decided(many).verdict(), v1::GateReport::PASSED) << metric;
  }
}

TEST(Labels, AllRightOnFewDoesNotProveAGoal) {
  FactsBuilder few, many;
  few.AddSuite("goal", 20, AllAlike);
  many.AddSuite("goal", 200, AllAlike);
  for (FactsBuilder* builder : {&few, &many}) {
    builder->AskMin("macro_f1", 0.95);
    builder->AskMax("calibration_error", 0.05);
  }
  const v1::GateReport report = Decided(few);
  EXPECT_EQ(FindGate(report, "goal", "macro_f1")->verdict(), v1::GateReport::INCONCLUSIVE);
  EXPECT_EQ(FindGate(report, "goal", "macro_f1")->upper(), 1);
  EXPECT_EQ(FindGate(report, "goal", "calibration_error")->verdict(), v1::GateReport::INCONCLUSIVE);
  EXPECT_EQ(Decided(many).verdict(), v1::GateReport::PASSED) << Decided(many).summary();
}

// A class of which there is little to see says little, however many examples the others have.
TEST(Labels, ARareClassKeepsAMacroF1Open) {
  FactsBuilder builder;
  builder.AddSuite("goal", 200, [](uint64_t i, auto* candidate, auto* champion) {
    AllAlike(i < 3 ? 0 : 1 + i % 3, candidate, champion);
  });
  builder.RequireChampion("macro_f1", 0.05);
  EXPECT_EQ(Decided(builder).verdict(), v1::GateReport::INCONCLUSIVE);
}

TEST(Goals, EstimateAndBoundDecide) {
  FactsBuilder builder;
  builder.AddLosses("goal", 100, 2.0, 0.0);
  builder.AskMax("loss", 3.0);
  const double estimate = Decided(builder).gates(1).value();
  builder.spec().clear_goals();
  builder.AskMax("loss", estimate - 0.01);
  builder.AskMax("loss", estimate + 0.01);
  builder.AskMax("loss", estimate + 0.5);
  builder.AskMax("loss", estimate + 0.01, 0);
  builder.AskMax("perplexity", 12);
  const v1::GateReport report = Decided(builder);
  std::vector<v1::GateReport::Verdict> verdicts;
  for (const v1::GateResult& gate : report.gates()) {
    if (gate.gate() == "goal") verdicts.push_back(gate.verdict());
  }
  EXPECT_THAT(verdicts, ::testing::ElementsAre(v1::GateReport::FAILED, v1::GateReport::INCONCLUSIVE,
                                               v1::GateReport::PASSED, v1::GateReport::PASSED,
                                               v1::GateReport::PASSED));
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_THAT(report.summary(), StartsWith("refused: loss "));
  EXPECT_THAT(report.summary(), HasSubstr(" is asked for"));
  EXPECT_THAT(report.gates(1).explanation(), HasSubstr(" (at least "));
  EXPECT_THAT(report.gates(3).explanation(), HasSubstr(" (at most "));
  EXPECT_THAT(report.gates(4).explanation(), HasSubstr(" (the estimate alone), at most "));
}

TEST(Goals, SharesHaveClopperPearsonBounds) {
  FactsBuilder builder;
  builder.AddSuite("goal", 50, [](uint64_t i, auto* candidate, auto* champion) {
    for (auto* example : {candidate, champion}) {
      example->set_label("yes");
      example->set_predicted(i < 37 ? "yes" : "no");
      example->set_confidence(0.75);
    }
  });
  builder.AskMin("accuracy", 0.6);
  builder.AskMin("accuracy", 0.7);
  builder.AskMin("macro_f1", 0.2);
  builder.AskMax("calibration_error", 0.2);
  const v1::GateReport report = Decided(builder);
  const v1::GateResult& gate = report.gates(1);
  EXPECT_EQ(gate.method(), "Clopper-Pearson");
  EXPECT_NEAR(gate.value(), 0.74, 1e-12);
  EXPECT_NEAR(gate.lower(), 0.6185, 2e-3);  // statsmodels, 37 of 50 at 0.9
  EXPECT_EQ(gate.verdict(), v1::GateReport::PASSED);
  EXPECT_EQ(report.gates(2).verdict(), v1::GateReport::INCONCLUSIVE);
  EXPECT_NEAR(FindGate(report, "goal", "macro_f1")->value(), 0.5 * 2 * 37 / 87.0, 1e-12);
  EXPECT_NEAR(FindGate(report, "goal", "calibration_error")->value(), 0.01, 1e-12);
}

TEST(Goals, OfASliceAndResultsBySlices) {
  FactsBuilder builder;
  builder.AddSuite("goal", 60, [](uint64_t i, auto* candidate, auto* champion) {
    for (auto* example : {candidate, champion}) {
      (*example->mutable_slices())["tenant"] = i % 3 == 0 ? "a" : "b";
      example->set_target_tokens(10);
      example->set_loss_sum(i % 3 == 0 ? 10 + 0.01 * static_cast<double>(i) : 30);
    }
  });
  builder.spec().add_slices("tenant");
  v1::Goal* goal = builder.AskMax("loss", 1.5);
  goal->set_slice_key("tenant");
  goal->set_slice_value("a");
  builder.RequireChampion("loss", 0.1);
  const v1::GateReport report = Decided(builder);
  const v1::GateResult* gate = FindGate(report, "goal", "loss of tenant=a");
  ASSERT_NE(gate, nullptr);
  EXPECT_EQ(gate->examples(), 20u);
  EXPECT_EQ(gate->verdict(), v1::GateReport::PASSED);
  const v1::GateResult* champion = FindGate(report, "champion");
  ASSERT_EQ(champion->slices_size(), 2);
  EXPECT_EQ(champion->slices(0).value(), "b");
  EXPECT_EQ(champion->slices(0).examples(), 40u);
  EXPECT_NEAR(champion->slices(0).champion(), 3.0, 1e-12);
  EXPECT_EQ(champion->slices(1).value(), "a");
}

TEST(Retention, AForgottenSkillRefusesWhatImprovesTheGoal) {
  FactsBuilder builder;
  builder.AddLosses("goal", 200, 2.0, -0.3);
  builder.AddLosses("stdlib", 200, 1.9, 0.39, 0.3, 2);
  builder.AddLosses("math", 200, 1.0, 0.001, 0.02, 3);
  builder.AskMax("loss", 2.0);
  builder.RequireChampion("loss", 0.0);
  builder.Retain("stdlib", "loss", 0.05);
  builder.Retain("math", "loss", 0.05);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_THAT(report.summary(), StartsWith("refused: forgets stdlib: loss 1.8"));
  EXPECT_THAT(report.summary(), HasSubstr(", budget 0.05"));
  EXPECT_EQ(FindGate(report, "champion")->verdict(), v1::GateReport::PASSED);
  ASSERT_EQ(report.skills_size(), 2);
  EXPECT_EQ(report.skills(0).skill(), "stdlib");
  EXPECT_FALSE(report.skills(0).kept());
  EXPECT_NEAR(report.skills(0).worse_by(), 0.39, 0.05);
  EXPECT_GT(report.skills(0).lower(), 0.05);
  EXPECT_TRUE(report.skills(1).kept());
}

TEST(Retention, ARelativeBudgetIsAShareOfTheChampions) {
  FactsBuilder builder;
  builder.AddLosses("math", 200, 2.0, 0.1, 0.05);
  builder.Retain("math", "loss", 0.1)->set_relative(true);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::PASSED) << report.summary();
  EXPECT_NEAR(report.skills(0).budget(), 0.1 * report.skills(0).before(), 1e-12);
}

TEST(Untouched, WhatWasTrainedOnIsLeftOutEverywhere) {
  FactsBuilder builder;
  // The candidate is better on what it has seen, and only there.
  builder.AddSuite("goal", 100, [](uint64_t i, auto* candidate, auto* champion) {
    champion->set_loss_sum(20 + 0.1 * static_cast<double>(i));
    candidate->set_loss_sum(i < 50 ? 1 : 25 + 0.1 * static_cast<double>(i));
  });
  builder.RequireChampion("loss", 0.0);
  EXPECT_EQ(Decided(builder).verdict(), v1::GateReport::PASSED);
  for (uint64_t i = 0; i < 50; ++i) {
    builder.facts().mutable_proofs(0)->add_seen_ids(ExampleId(i));
  }
  builder.facts().mutable_proofs(0)->add_seen_ids(ExampleId(5000));  // not in the suite
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_EQ(FindGate(report, "champion")->examples(), 50u);
  const v1::GateResult* gate = FindGate(report, "untouched", "goal");
  EXPECT_EQ(gate->verdict(), v1::GateReport::PASSED);
  EXPECT_EQ(gate->value(), 50);
  EXPECT_EQ(gate->explanation(),
            "100 examples of suite goal looked up in train@1: 50 found and left out");
}

TEST(Untouched, FailsWhenNothingIsLeftOrNothingIsProven) {
  FactsBuilder builder;
  builder.AddLosses("goal", 12, 2.0, -0.5);
  builder.RequireChampion("loss", 0.0);
  for (uint64_t i = 0; i < 12; ++i) {
    builder.facts().mutable_proofs(0)->add_seen_ids(ExampleId(i));
  }
  v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_THAT(report.summary(), HasSubstr("nothing is left to measure on"));
  builder.facts().clear_proofs();
  report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_EQ(report.summary(), "refused: nothing proves that suite goal was not trained on");
}

TEST(Artifact, SmokeSizeAndLatency) {
  FactsBuilder builder;
  builder.spec().add_smoke()->set_prompt("hello");
  builder.spec().add_smoke()->set_prompt("bye");
  v1::SmokeFacts* smoke = builder.facts().mutable_candidate()->add_smoke();
  smoke->set_passed(true);
  smoke = builder.facts().mutable_candidate()->add_smoke();
  smoke->set_prompt("bye");
  smoke->set_answer("");
  smoke->set_why("the answer is empty");
  builder.spec().mutable_limits()->set_bytes_max(999);
  builder.spec().mutable_limits()->set_first_token_seconds_max(0.5);
  builder.spec().mutable_limits()->set_tokens_per_second_min(10);
  builder.facts().mutable_candidate()->mutable_artifact()->set_first_token_seconds(0.2);
  const v1::GateReport report = Decided(builder);
  EXPECT_EQ(report.verdict(), v1::GateReport::FAILED);
  EXPECT_EQ(report.summary(),
            "refused: 1 of 2 smoke prompts answered well; not \"bye\": the answer is empty; "
            "artifact 1000 bytes, at most 999 is asked for");
  EXPECT_EQ(FindGate(report, "smoke")->deciding_size(), 1);
  EXPECT_EQ(FindGate(report, "latency", "first token")->verdict(), v1::GateReport::PASSED);
  EXPECT_EQ(FindGate(report, "latency", "speed")->verdict(), v1::GateReport::INCONCLUSIVE);
}

TEST(Decide, IsAFunctionOfTheFactsAlone) {
  FactsBuilder builder;
  builder.AddLosses("goal", 100, 2.0, 0.01, 0.2);
  builder.AddLosses("math", 60, 1.0, 0.01, 0.2);
  builder.RequireChampion("loss", 0.05);
  builder.Retain("math", "loss", 0.05);
  builder.AskMax("loss", 2.2);
  const std::string first = Decided(builder).SerializeAsString();
  EXPECT_EQ(Decided(builder).SerializeAsString(), first);
  // The order of the lines does not matter, the seed does.
  auto* examples = builder.facts().mutable_candidate()->mutable_examples();
  for (int i = 0; i < 40; ++i) examples->SwapElements(i, 159 - i);
  EXPECT_EQ(Decided(builder).SerializeAsString(), first);
  builder.spec().set_seed(1);
  EXPECT_NE(Decided(builder).SerializeAsString(), first);
}

void ExpectRefused(const FactsBuilder& builder, const std::string& message) {
  FactsBuilder copy = builder;
  auto report = Decide(copy.facts());
  EXPECT_EQ(report.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(report.status().message(), HasSubstr(message));
}

TEST(Decide, NamesWhatDoesNotFitTogether) {
  FactsBuilder good;
  good.AddLosses("goal", 20, 2.0, 0.0);
  good.RequireChampion("loss", 0.0);
  EXPECT_EQ(Decided(good).gates_size(), 2);

  ExpectRefused(FactsBuilder(), "nothing is asked of a candidate");
  FactsBuilder bad = good;
  bad.RequireChampion("los", 0.0);
  ExpectRefused(bad, "gates.champion.metric: there is no metric \"los\"");
  bad = good;
  bad.RequireChampion("loss", 0.0, 95);
  ExpectRefused(bad, "gates.champion.confidence: a confidence is above 0.5");
  bad = good;
  bad.spec().add_goals()->mutable_metric()->set_name("loss");
  ExpectRefused(bad, "gates.goals[0]: a goal needs min or max");
  bad = good;
  for (const char* pattern : {"[a-z]+", "[0-9]+"}) {
    v1::Goal* goal = bad.spec().add_goals();
    goal->mutable_metric()->set_name("regex");
    goal->mutable_metric()->set_pattern(pattern);
    goal->set_min(0.5);
  }
  ExpectRefused(bad, "gates.goals[1].metric: regex differs from that of gates.goals[0].metric");
  bad.spec().mutable_goals()->RemoveLast();
  *bad.spec().mutable_champion()->mutable_metric() = bad.spec().goals(0).metric();
  bad.spec().mutable_champion()->mutable_metric()->set_pattern("[0-9]+");
  ExpectRefused(bad, "gates.champion.metric: regex differs from that of gates.goals[0].metric");
  bad = good;
  bad.RequireChampion("exact_match", 0.0);
  ExpectRefused(bad, "has no score \"exact_match\"");
  bad = good;
  bad.RequireChampion("accuracy", 0.0);
  ExpectRefused(bad, "has no label");
  bad = good;
  bad.Retain("math", "loss", 0.1);
  ExpectRefused(bad, "suite math is not in the candidate's evaluation");
  bad.Retain("math", "loss", 0.1);
  ExpectRefused(bad, "skill math comes twice");
  bad = good;
  bad.spec().add_smoke();
  ExpectRefused(bad, "0 answers to the 1 smoke prompt");
  bad = good;
  bad.facts().mutable_champion()->clear_examples();
  ExpectRefused(bad, "the champion's evaluation has no example of suite goal");
  bad = good;
  bad.facts().mutable_candidate()->mutable_examples(3)->set_loss_sum(NAN);
  ExpectRefused(bad, "the evaluation of docs@2: example " + ExampleId(3));
  bad = good;
  *bad.facts().mutable_champion()->add_examples() = bad.facts().champion().examples(0);
  ExpectRefused(bad, "comes twice");
}

}  // namespace
}  // namespace attune::gates
