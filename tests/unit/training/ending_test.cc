#include "worker/engine/tasks/ending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "tests/unit/training/task_fixture.h"
#include "worker/engine/checkpoint/checkpoint.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ReadAll;
using testing::Recorder;

constexpr char kWeights[] = "model.safetensors";

TEST(NoteEvaluation, KeepsTheLeastLossAndCountsWhatGainsTooLittle) {
  const EvaluateOptions options{.min_delta = 0.1};
  CheckpointState state;
  auto note = [&](int step, double loss) {
    state.step = step;
    return NoteEvaluation(options, {.loss = loss}, state);
  };
  EXPECT_TRUE(note(0, 3.0));
  EXPECT_EQ(state.evaluations_without_gain, 0);
  EXPECT_TRUE(note(2, 2.95)) << "the best so far, but not by enough to count as a gain";
  EXPECT_EQ(state.evaluations_without_gain, 1);
  EXPECT_FALSE(note(4, 2.95));
  EXPECT_FALSE(note(6, 3.5));
  EXPECT_EQ(state.evaluations_without_gain, 3);
  EXPECT_EQ(state.best_step, 2);
  EXPECT_TRUE(note(8, 2.8));
  EXPECT_EQ(state.evaluations_without_gain, 0);
  EXPECT_EQ(*state.best_validation_loss, 2.8);
}

TEST(NoteEvaluation, MayGoByAccuracy) {
  const EvaluateOptions options{.min_delta = 0.05, .metric = "accuracy"};
  CheckpointState state;
  auto note = [&](int step, double loss, double accuracy) {
    state.step = step;
    return NoteEvaluation(options, {.loss = loss, .accuracy = accuracy}, state);
  };
  EXPECT_TRUE(note(0, 1.0, 0.5));
  EXPECT_FALSE(note(2, 0.5, 0.5)) << "a lower loss is not what counts";
  EXPECT_TRUE(note(4, 2.0, 0.53)) << "the best so far, but not by enough to count as a gain";
  EXPECT_EQ(state.evaluations_without_gain, 2);
  EXPECT_TRUE(note(6, 3.0, 0.9));
  EXPECT_EQ(state.evaluations_without_gain, 0);
  EXPECT_FALSE(note(8, 0.1, 0.8));
  EXPECT_EQ(state.best_step, 6);
  EXPECT_EQ(*state.best_validation_loss, 3.0);
  EXPECT_EQ(*state.best_validation_accuracy, 0.9);
  EXPECT_EQ(*state.last_validation_accuracy, 0.8);
  TrainTask task;
  task.evaluate = options;
  task.evaluate.patience = 1;
  EXPECT_THAT(EndReason(task, state),
              HasSubstr("brought a validation accuracy better by more than 0.05 "
                        "(evaluate.min_delta), the best is 0.9, that of step 6"));
}

TEST(EndReason, IsOfTimeOrOfPatience) {
  TrainTask task;
  CheckpointState state{.step = 9, .seconds = 59.9};
  EXPECT_THAT(EndReason(task, state), IsEmpty());
  task.data.train.max_seconds = 60;
  EXPECT_THAT(EndReason(task, state), IsEmpty());
  state.seconds = 60;
  EXPECT_THAT(EndReason(task, state), HasSubstr("train.max_seconds (60)"));
  task = {};
  task.evaluate.patience = 2;
  state.evaluations_without_gain = 1;
  EXPECT_THAT(EndReason(task, state), IsEmpty());
  state.evaluations_without_gain = 2;
  state.best_validation_loss = 2.5;
  EXPECT_THAT(EndReason(task, state), HasSubstr("not below 2.5"));
}

class EndingTest : public testing::TaskTest {
 protected:
  static int BestStep(const TrainResult& result) {
    return json::parse(ReadAll(result.output / "attune.json")).at("best_step");
  }
  static double Least(const Recorder& observer) {
    double least = INFINITY;
    for (const EvaluationReport& report : observer.evaluations)
      least = std::min(least, report.loss);
    return least;
  }
  // The validation loss of what came out, as a job that goes on from it has it.
  double LossOf(const TrainResult& result, const std::string& run) const {
    TrainTask task = Task("full", run);
    task.data.base.reference = "out@1";
    task.data.base.path = result.output;
    Recorder prepared;
    EXPECT_TRUE(Prepare(task.data, prepared).ok());
    const auto ranks = TrainOn(1, task);
    EXPECT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
    return ranks[0].observer.evaluations.front().loss;
  }
  // Its steps grow until they are far too large.
  TrainTask Diverging(const std::string& run, int steps) const {
    TrainTask task = Task("full", run);
    task.data.train.max_steps = steps;
    task.optimizer = {.name = "lion",
                      .learning_rate = 0.01 * steps,
                      .schedule = "linear",
                      .warmup_steps = steps - 1};
    task.evaluate.every_steps = 1;
    return task;
  }
};

TEST_F(EndingTest, PatienceEndsARunThatThenWritesItsOutputAndSaysWhy) {
  TrainTask task = Diverging("run", 40);
  task.evaluate.patience = 3;
  const auto ranks = TrainOn(2, task);
  for (const auto& [result, observer] : ranks) {
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_LT(result->steps, 40);
    EXPECT_EQ(result->steps, ranks[0].result->steps);
    EXPECT_EQ(observer.evaluations.size(), static_cast<size_t>(result->steps) + 1);
  }
  const Recorder& first = ranks[0].observer;
  ASSERT_EQ(first.warnings.size(), 1u);
  EXPECT_THAT(first.warnings[0], HasSubstr("of 40: the last 3 evaluations"));
  EXPECT_TRUE(ranks[1].observer.warnings.empty());
  const json made = json::parse(ReadAll(ranks[0].result->output / "attune.json"));
  EXPECT_THAT(made.at("ended").get<std::string>(), HasSubstr("evaluate.patience"));
  for (int i = 1; i <= 3; ++i) {
    EXPECT_GE(first.evaluations[first.evaluations.size() - i].loss, Least(first));
  }

  // Again after a stop on the way: the same end, the same weights.
  task.run_directory = folder_.path() / "resumed";
  TrainOn(2, task, [&](int rank, TrainTask&, Recorder& observer) {
    observer.stop = StopRequest::kCheckpointAndStop;
    observer.stop_after = ranks[0].result->steps - 1;
  });
  const auto resumed = TrainOn(2, task);
  ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
  EXPECT_EQ(resumed[0].result->steps, ranks[0].result->steps);
  EXPECT_LT(resumed[0].observer.steps.size(), 3u);
  EXPECT_TRUE(ReadAll(resumed[0].result->output / kWeights) ==
              ReadAll(ranks[0].result->output / kWeights));
}

TEST_F(EndingTest, WhatComesOutIsAsItWasAtTheBestEvaluation) {
  TrainTask task = Diverging("run", 12);
  task.evaluate.keep_best = true;
  const auto ranks = TrainOn(2, task);
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  const double best = Least(ranks[0].observer);
  EXPECT_LT(best, ranks[0].observer.evaluations.back().loss - 0.1) << "the end is not the best";
  EXPECT_EQ(*ranks[0].result->final_validation_loss, best);
  EXPECT_EQ(*ranks[1].result->final_validation_loss, best);

  EXPECT_NEAR(LossOf(*ranks[0].result, "next"), best, 1e-5);

  // Long after the best checkpoints are gone, and after a stop.
  task.run_directory = folder_.path() / "resumed";
  task.checkpoint = {.every_steps = 1, .keep = 1};
  TrainOn(2, task, [](int, TrainTask&, Recorder& observer) {
    observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 10;
  });
  const auto resumed = TrainOn(2, task);
  ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
  EXPECT_TRUE(resumed[0].observer.warnings.empty());
  EXPECT_TRUE(ReadAll(resumed[0].result->output / kWeights) ==
              ReadAll(ranks[0].result->output / kWeights));

  // What cannot be read now is not given up: the attempt ends, and the next one may read it.
  const fs::path state =
      CheckpointPath(task.run_directory / "best", BestStep(*resumed[0].result)) / "state.json";
  fs::rename(state, folder_.path() / "state.json");
  fs::create_symlink("/proc/self/mem", state);  // its first byte is unreadable: EIO
  const auto unread = TrainOn(1, task);
  EXPECT_FALSE(unread[0].result.ok());
  EXPECT_TRUE(unread[0].observer.warnings.empty());
  fs::rename(folder_.path() / "state.json", state);
  EXPECT_TRUE(TrainOn(1, task)[0].result.ok());

  // Where they are lost, the last ones come out, and a person hears of it.
  fs::remove_all(task.run_directory / "best");
  const auto without = TrainOn(1, task);
  ASSERT_TRUE(without[0].result.ok()) << without[0].result.status().ToString();
  ASSERT_EQ(without[0].observer.warnings.size(), 1u);
  EXPECT_THAT(without[0].observer.warnings[0], HasSubstr("best evaluation could not be read"));
}

// The time of earlier attempts counts; so no clock is waited for here.
TEST_F(EndingTest, TimeIsOfAllAttemptsAndEndsAllRanksAtTheSameStep) {
  TrainTask task = Task("full", "run");
  TrainOn(2, task, [](int, TrainTask&, Recorder& observer) {
    observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 4;
  });
  const fs::path file = CheckpointPath(task.run_directory / "checkpoints", 4) / "state.json";
  json state = json::parse(ReadAll(file));
  EXPECT_GT(state.at("seconds").get<double>(), 0);
  state["seconds"] = 1000;
  ASSERT_TRUE(WriteFileAtomically(file, state.dump()).ok());
  task.data.train.max_seconds = 1000;
  const auto ranks = TrainOn(2, task);
  for (const auto& [result, observer] : ranks) {
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_EQ(result->steps, 4);
    EXPECT_TRUE(observer.steps.empty());
    EXPECT_TRUE(result->final_validation_loss.has_value());
  }
  ASSERT_EQ(ranks[0].observer.warnings.size(), 1u);
  EXPECT_THAT(ranks[0].observer.warnings[0], HasSubstr("after step 4 of 10: train.max_seconds"));
}

TEST_F(EndingTest, TokensEndTheRunAndItsScheduleWithTheStepThatReachesThem) {
  const auto all = TrainOn(1, Task("full", "all"));
  int64_t tokens = 0;
  for (int i = 0; i < 6; ++i) tokens += all[0].observer.steps[i].tokens;
  TrainTask task = Task("full", "run");
  task.data.train.max_tokens = tokens;
  EXPECT_EQ(TrainOn(1, task)[0].result->steps, 6);
  task.run_directory = folder_.path() / "more";
  task.data.train.max_tokens = tokens + 1;
  const auto more = TrainOn(2, task);
  EXPECT_EQ(more[0].result->steps, 7);
  EXPECT_TRUE(more[0].observer.warnings.empty());
  // A cosine that ends there: half way down in the middle of the 6 steps behind warm-up.
  EXPECT_NEAR(more[0].observer.steps[4].learning_rate, task.optimizer.learning_rate / 2, 1e-9);
}

TEST_F(EndingTest, AveragesAreEvaluatedAndComeOutAndAResumedRunHasTheSameBits) {
  TrainTask task = Task("full", "straight");
  task.data.train.ema_decay = 0.8;
  task.evaluate.keep_best = true;
  const auto straight = TrainOn(2, task);
  ASSERT_TRUE(straight[0].result.ok()) << straight[0].result.status().ToString();
  const auto plain = TrainOn(2, Task("full", "plain"));
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(straight[0].observer.steps[i].loss, plain[0].observer.steps[i].loss)
        << "training goes on with the weights themselves";
  }
  EXPECT_GT(*straight[0].result->final_validation_loss, *plain[0].result->final_validation_loss)
      << "an average lags behind";

  EXPECT_NEAR(LossOf(*straight[0].result, "next"), *straight[0].result->final_validation_loss,
              1e-5);

  task.run_directory = folder_.path() / "resumed";
  TrainOn(2, task, [](int, TrainTask&, Recorder& observer) {
    observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 6;
  });
  const auto resumed = TrainOn(2, task);
  ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
  EXPECT_EQ(resumed[0].observer.steps.front().step, 7);
  EXPECT_TRUE(ReadAll(resumed[0].result->output / kWeights) ==
              ReadAll(straight[0].result->output / kWeights));
}

TEST_F(EndingTest, RefusesWhatCannotEndARun) {
  auto refuse = [&](const std::function<void(TrainTask&)>& change, const std::string& field) {
    TrainTask task = Task("full", "run");
    change(task);
    EXPECT_EQ(TrainOn(1, task)[0].result.status().field(), field);
  };
  refuse([](TrainTask& task) { task.data.train.ema_decay = 1; }, "train.ema_decay");
  refuse([](TrainTask& task) { task.data.train.max_seconds = -1; }, "train.max_seconds");
  refuse([](TrainTask& task) { task.evaluate = {.patience = 1}; }, "evaluate.patience");
  refuse([](TrainTask& task) { task.evaluate.min_delta = -1; }, "evaluate.min_delta");
  refuse([](TrainTask& task) { task.evaluate.metric = "bleu"; }, "evaluate.metric");
  refuse([](TrainTask& task) { task.evaluate.metric = "accuracy"; }, "evaluate.metric");
}

}  // namespace
}  // namespace attune::engine
