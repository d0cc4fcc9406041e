#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/unit/training/task_fixture.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::ReadAll;
using testing::Recorder;

class TrainTest : public testing::TaskTest {
 protected:
  ModelFiles Output(const TrainResult& result, const std::string& method) const {
    if (method == "full")
      return {.reference = "out@1", .path = result.output, .format = "huggingface"};
    return {.reference = "out@1",
            .path = result.output,
            .format = "peft-adapter",
            .base = std::make_shared<ModelFiles>(Base())};
  }
  static std::vector<int> EvaluatedSteps(const Recorder& observer) {
    std::vector<int> steps;
    for (const EvaluationReport& report : observer.evaluations) steps.push_back(report.step);
    return steps;
  }
};

class TrainMethodTest : public TrainTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(TrainMethodTest, LearnsAndWritesAModelThatHoldsWhatWasLearned) {
  const auto ranks = TrainOn(1, Task(GetParam(), "run"));
  const auto& [result, observer] = ranks[0];
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->steps, 10);
  EXPECT_EQ(observer.steps.size(), 10u);
  EXPECT_EQ(observer.steps.back().loss, result->final_loss);
  EXPECT_THAT(EvaluatedSteps(observer), ElementsAre(0, 4, 8, 10));
  EXPECT_THAT(observer.checkpoints, ElementsAre(10)) << "none is asked for but the last";
  EXPECT_LT(*result->final_validation_loss, *result->first_validation_loss - 0.1);
  const json lineage = json::parse(ReadAll(result->output / "attune.json"));
  EXPECT_EQ(lineage.at("lineage").at("job"), "job-1");
  EXPECT_EQ(lineage.at("base"), "tiny@1");

  // Going on from the output begins where it ended.
  TrainTask next = Task(GetParam(), "next");
  next.data.base = Output(*result, GetParam());
  Recorder prepared;
  ASSERT_TRUE(Prepare(next.data, prepared).ok());
  const auto again = TrainOn(1, next);
  ASSERT_TRUE(again[0].result.ok()) << again[0].result.status().ToString();
  EXPECT_NEAR(*again[0].result->first_validation_loss, *result->final_validation_loss, 1e-6);
}

TEST_P(TrainMethodTest, RanksReportTheSameAndOneAsMany) {
  const auto one = TrainOn(1, Task(GetParam(), "one"));
  const auto three = TrainOn(3, Task(GetParam(), "three"));
  ASSERT_TRUE(one[0].result.ok()) << one[0].result.status().ToString();
  for (const auto& [result, observer] : three) {
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_NEAR(*result->first_validation_loss, *one[0].result->first_validation_loss, 1e-6);
    EXPECT_NEAR(*result->final_validation_loss, *one[0].result->final_validation_loss, 5e-5);
    EXPECT_EQ(result->final_loss, three[0].result->final_loss);
    for (size_t i = 0; i < 10; ++i)
      EXPECT_NEAR(observer.steps[i].loss, one[0].observer.steps[i].loss, 5e-5);
  }
}

// The same bits: 10 steps, and 6 steps, a checkpoint, everything loaded afresh, 4 steps.
TEST_P(TrainMethodTest, ResumeIsBitEqual) {
  const std::string weights =
      GetParam() == "full" ? "model.safetensors" : "adapter_model.safetensors";
  for (const int world_size : {1, 3}) {
    TrainTask task = Task(GetParam(), "straight" + std::to_string(world_size));
    if (GetParam() != "full") task.method.dropout = 0.1;
    const auto straight = TrainOn(world_size, task);
    ASSERT_TRUE(straight[0].result.ok()) << straight[0].result.status().ToString();

    task.run_directory = folder_.path() / ("resumed" + std::to_string(world_size));
    const auto half = TrainOn(world_size, task, [](int rank, TrainTask&, Recorder& observer) {
      if (rank == 0) observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 6;
    });
    EXPECT_EQ(half[0].result.status().code(), StatusCode::kCancelled);
    EXPECT_THAT(half[0].observer.checkpoints, ElementsAre(6));
    const auto resumed = TrainOn(world_size, task);
    ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
    EXPECT_EQ(resumed[0].observer.steps.size(), 4u);
    EXPECT_EQ(resumed[0].observer.steps.front().step, 7);
    EXPECT_TRUE(resumed[0].observer.warnings.empty());
    EXPECT_EQ(resumed[0].result->first_validation_loss, straight[0].result->first_validation_loss);
    EXPECT_EQ(resumed[0].result->final_validation_loss, straight[0].result->final_validation_loss);
    EXPECT_EQ(resumed[0].result->final_loss, straight[0].result->final_loss);
    EXPECT_TRUE(ReadAll(resumed[0].result->output / weights) ==
                ReadAll(straight[0].result->output / weights));
  }
}

// The penalty is around the start and not around the checkpoint, and the Fisher information is what
// it was: with a learning rate that has moved the weights, else nothing would show.
TEST_P(TrainMethodTest, ResumeIsBitEqualWithAPenalty) {
  const std::string weights =
      GetParam() == "full" ? "model.safetensors" : "adapter_model.safetensors";
  for (const char* type : {"l2-sp", "ewc"}) {
    TrainTask task = Task(GetParam(), std::string("straight-") + type);
    task.regularize = {.type = type, .strength = 20, .fisher_examples = 7};
    const auto straight = TrainOn(2, task);
    ASSERT_TRUE(straight[0].result.ok()) << straight[0].result.status().ToString();
    EXPECT_GT(*straight[0].observer.steps.back().penalty, 0);

    task.run_directory = folder_.path() / (std::string("resumed-") + type);
    TrainOn(2, task, [](int rank, TrainTask&, Recorder& observer) {
      if (rank == 0) observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 6;
    });
    const auto resumed = TrainOn(2, task);
    ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
    EXPECT_EQ(resumed[0].observer.steps.front().step, 7);
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(resumed[0].observer.steps[i].penalty, straight[0].observer.steps[i + 6].penalty);
    }
    EXPECT_TRUE(ReadAll(resumed[0].result->output / weights) ==
                ReadAll(straight[0].result->output / weights));

    // Another number of ranks goes on with the Fisher information that was measured.
    fs::remove_all(task.run_directory / "checkpoints" / "step-00000010");
    const auto more = TrainOn(3, task);
    ASSERT_TRUE(more[0].result.ok()) << more[0].result.status().ToString();
    EXPECT_EQ(more[0].observer.steps.front().step, 7);
    EXPECT_EQ(more[0].observer.steps[0].penalty, straight[0].observer.steps[6].penalty);
    EXPECT_NEAR(more[0].result->final_loss, straight[0].result->final_loss, 5e-5);
  }
}

// Every optimizer's state is in a checkpoint, in whatever type it is.
TEST_F(TrainTest, ResumeIsBitEqualWithEachOptimizer) {
  for (const char* name : {"adamw-8bit", "adafactor", "sgd", "lion"}) {
    TrainTask task = Task("full", std::string("straight-") + name);
    task.optimizer.name = name;
    task.optimizer.momentum = 0.9;
    task.optimizer.learning_rate = 1e-3;
    const auto straight = TrainOn(2, task);
    ASSERT_TRUE(straight[0].result.ok()) << straight[0].result.status().ToString();
    EXPECT_LT(straight[0].observer.steps.back().loss, straight[0].observer.steps.front().loss);

    task.run_directory = folder_.path() / (std::string("resumed-") + name);
    TrainOn(2, task, [](int rank, TrainTask&, Recorder& observer) {
      if (rank == 0) observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 6;
    });
    const auto resumed = TrainOn(2, task);
    ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
    EXPECT_EQ(resumed[0].observer.steps.front().step, 7);
    EXPECT_TRUE(ReadAll(resumed[0].result->output / "model.safetensors") ==
                ReadAll(straight[0].result->output / "model.safetensors"))
        << name;
  }
}

// Checkpoints of an optimizer in parts are those of a whole one, so that any number of ranks goes
// on from them, with parts or without.
TEST_F(TrainTest, AnOptimizerInPartsWritesWholeCheckpoints) {
  for (const char* name : {"adamw", "adamw-8bit"}) {
    TrainTask task = Task("full", std::string("whole-") + name);
    task.optimizer.name = name;
    task.data.train.ema_decay = 0.5;
    const auto stop = [](int, TrainTask&, Recorder& observer) {
      observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 6;
    };
    TrainOn(3, task, stop);
    TrainTask parts = task;
    parts.run_directory = folder_.path() / (std::string("parts-") + name);
    parts.data.train.shard_optimizer = true;
    TrainOn(3, parts, stop);
    const fs::path written = fs::path("checkpoints") / "step-00000006" / "optimizer.safetensors";
    EXPECT_TRUE(ReadAll(parts.run_directory / written) == ReadAll(task.run_directory / written));
    for (const auto& entry : fs::directory_iterator(parts.run_directory)) {
      EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
    }
    const auto whole = TrainOn(2, task);
    const auto resumed = TrainOn(2, parts);
    ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
    EXPECT_EQ(resumed[0].observer.steps.front().step, 7);
    EXPECT_TRUE(ReadAll(resumed[0].result->output / "model.safetensors") ==
                ReadAll(whole[0].result->output / "model.safetensors"));
    // From parts to a whole.
    fs::remove_all(parts.run_directory / "checkpoints" / "step-00000010");
    parts.data.train.shard_optimizer = false;
    const auto again = TrainOn(2, parts);
    ASSERT_TRUE(again[0].result.ok()) << again[0].result.status().ToString();
    EXPECT_EQ(again[0].observer.steps.front().step, 7);
    EXPECT_TRUE(ReadAll(again[0].result->output / "model.safetensors") ==
                ReadAll(whole[0].result->output / "model.safetensors"));
  }
}

// As after the death of a trainer whose last reports nobody took: what is on disk counts.
TEST_F(TrainTest, GoesOnFromTheNewestCheckpointThatIsThere) {
  TrainTask task = Task("full", "run");
  task.checkpoint = {.every_steps = 2, .keep = 1};
  task.evaluate.every_steps = 0;
  const auto stop_after = [](int step) {
    return [step](int, TrainTask&, Recorder& observer) {
      observer.stop = StopRequest::kStop, observer.stop_after = step;
    };
  };
  TrainOn(1, task, stop_after(5));
  const auto second = TrainOn(1, task, stop_after(3));
  EXPECT_EQ(second[0].observer.steps.front().step, 5);
  EXPECT_THAT(second[0].observer.checkpoints, ElementsAre(6));
  const auto third = TrainOn(1, task);
  ASSERT_TRUE(third[0].result.ok()) << third[0].result.status().ToString();
  EXPECT_EQ(third[0].observer.steps.front().step, 7);
}

INSTANTIATE_TEST_SUITE_P(Methods, TrainMethodTest,
                         ::testing::Values("full", "lora", "lora-whole", "qlora", "prompt-tuning"));

TEST_F(TrainTest, ADamagedCheckpointIsPassedOverWithAWarning) {
  TrainTask task = Task("full", "run");
  task.checkpoint = {.every_steps = 3, .keep = 2};
  const auto first = TrainOn(1, task);
  ASSERT_TRUE(first[0].result.ok()) << first[0].result.status().ToString();
  EXPECT_THAT(first[0].observer.checkpoints, ElementsAre(3, 6, 9, 10));
  const fs::path newest = task.run_directory / "checkpoints" / "step-00000010";
  const std::string weights = ReadAll(first[0].result->output / "model.safetensors");
  fs::resize_file(newest / "optimizer.safetensors", 100);
  const auto resumed = TrainOn(2, task);
  ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
  EXPECT_EQ(resumed[0].observer.steps.front().step, 10);
  ASSERT_EQ(resumed[0].observer.warnings.size(), 1u);
  EXPECT_THAT(resumed[0].observer.warnings[0], HasSubstr("optimizer.safetensors"));
  EXPECT_NEAR(resumed[0].result->final_loss, first[0].result->final_loss, 5e-5);
}

// It is written while the next step runs, and must not see that step's update.
TEST_F(TrainTest, ACheckpointInTheMiddleOfARunHoldsItsStep) {
  TrainTask task = Task("full", "run");
  task.checkpoint = {.every_steps = 1, .keep = 10};
  const auto first = TrainOn(2, task);
  ASSERT_TRUE(first[0].result.ok()) << first[0].result.status().ToString();
  EXPECT_THAT(first[0].observer.checkpoints, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  const std::string weights = ReadAll(first[0].result->output / "model.safetensors");
  for (int step = 6; step <= 10; ++step) {
    char name[32];
    std::snprintf(name, sizeof name, "step-%08d", step);
    ASSERT_GT(fs::remove_all(task.run_directory / "checkpoints" / name), 0u);
  }
  const auto resumed = TrainOn(2, task);
  ASSERT_TRUE(resumed[0].result.ok()) << resumed[0].result.status().ToString();
  EXPECT_EQ(resumed[0].observer.steps.front().step, 6);
  EXPECT_TRUE(ReadAll(resumed[0].result->output / "model.safetensors") == weights);
}

TEST_F(TrainTest, ACheckpointThatCannotBeWrittenEndsTheRunOnAllRanksBeforeTheNextUpdate) {
  TrainTask task = Task("full", "run");
  task.checkpoint.every_steps = 3;
  fs::create_directories(task.run_directory);
  const auto ranks = TrainOn(3, task, [&](int rank, TrainTask&, Recorder& observer) {
    if (rank != 0) return;
    observer.on_step = [&](const StepReport& report) {
      if (report.step > 1) return;
      std::ofstream(task.run_directory / "checkpoints") << "a file in the way";
    };
  });
  for (const auto& [result, observer] : ranks) {
    EXPECT_THAT(result.status().message(), HasSubstr("checkpoints"));
    EXPECT_EQ(result.status().code(), ranks[0].result.status().code());
    EXPECT_EQ(observer.steps.size(), 3u);
    EXPECT_TRUE(observer.checkpoints.empty());
  }
}

TEST_F(TrainTest, ALostPeerDoesNotCostTheCheckpointThatIsBeingWritten) {
  TrainTask task = Task("full", "run");
  task.checkpoint.every_steps = 3;
  const auto ranks = TrainOn(2, task, [](int rank, TrainTask&, Recorder& observer) {
    if (rank == 0) return;
    observer.on_step = [](const StepReport& report) {
      if (report.step == 3) throw std::runtime_error("rank 1 breaks");
    };
  });
  EXPECT_EQ(ranks[0].result.status().code(), StatusCode::kUnavailable)
      << ranks[0].result.status().ToString();
  EXPECT_THAT(ranks[0].observer.checkpoints, ElementsAre(3));
}

TEST_F(TrainTest, ACheckpointOfOtherSettingsIsRefused) {
  TrainTask task = Task("full", "run");
  task.checkpoint.every_steps = 5;
  ASSERT_TRUE(TrainOn(1, task)[0].result.ok());
  task.optimizer.learning_rate = 1e-3;
  const auto resumed = TrainOn(1, task);
  EXPECT_EQ(resumed[0].result.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(resumed[0].result.status().message(), HasSubstr("belongs to another run"));
}

// Weights that a step has thrown out of all bounds: the error says which examples that shows in,
// how they begin, and from where a job could go on.
TEST_F(TrainTest, ALossThatIsNoNumberNamesExamplesAndTheNewestCheckpoint) {
  TrainTask task = Task("full", "run");
  task.checkpoint.every_steps = 1;
  task.optimizer = {.name = "sgd",
                    .learning_rate = 1e38,
                    .schedule = "constant",
                    .warmup_steps = 0,
                    .clip_norm = 0};
  const auto ranks = TrainOn(2, task);
  for (const auto& [result, observer] : ranks) {
    EXPECT_EQ(result.status().code(), StatusCode::kFailedPrecondition);
    EXPECT_THAT(result.status().message(), HasSubstr("of its examples these do so alone: "));
    EXPECT_THAT(result.status().message(), HasSubstr("(\"The "));
    EXPECT_THAT(result.status().message(),
                HasSubstr("the newest whole checkpoint is " +
                          (task.run_directory / "checkpoints" / "step-00000001").string()));
  }
}

// What an earlier version wrote has no such key; neither has what it would resume.
TEST_F(TrainTest, SettingsWithoutAPenaltyAreThoseOfBefore) {
  const auto plain = TrainOn(1, Task("lora", "plain"));
  ASSERT_TRUE(plain[0].result.ok()) << plain[0].result.status().ToString();
  const json settings = json::parse(ReadAll(plain[0].result->output / "attune.json"))["settings"];
  EXPECT_FALSE(settings.contains("regularize"));
  EXPECT_FALSE(settings.contains("data"));

  TrainTask task = Task("lora", "held");
  task.regularize = {.type = "l2-sp", .strength = 0.5};
  const auto held = TrainOn(1, task);
  ASSERT_TRUE(held[0].result.ok()) << held[0].result.status().ToString();
  EXPECT_EQ(json::parse(ReadAll(held[0].result->output / "attune.json"))["settings"]["regularize"],
            json({{"type", "l2-sp"}, {"strength", 0.5}}));
  EXPECT_THAT(ReadAll(held[0].result->output / "README.md"),
              HasSubstr("| regularize | l2-sp, strength 0.5 |"));
  task.regularize.strength = 0.6;
  EXPECT_THAT(TrainOn(1, task)[0].result.status().message(), HasSubstr("belongs to another run"));
}

// Where a job's base is what a job made: an adapter is gone on from, and a full fine-tuned model
// takes an adapter. Both start at the base's loss; w0 is the base.
TEST_F(TrainTest, GoesOnFromWhatAJobMadeAndHoldsItThere) {
  const auto full = TrainOn(1, Task("full", "full"));
  ASSERT_TRUE(full[0].result.ok()) << full[0].result.status().ToString();
  TrainTask task = Task("lora", "on-full");
  task.data.base = Output(*full[0].result, "full");
  task.regularize = {.type = "l2-sp", .strength = 0.1};
  Recorder prepared;
  ASSERT_TRUE(Prepare(task.data, prepared).ok());
  const auto adapter = TrainOn(1, task);
  ASSERT_TRUE(adapter[0].result.ok()) << adapter[0].result.status().ToString();
  EXPECT_NEAR(*adapter[0].result->first_validation_loss, *full[0].result->final_validation_loss,
              1e-6);
  EXPECT_EQ(adapter[0].observer.steps[0].penalty, 0);

  // On top of the adapter on top of the fine-tuned model.
  TrainTask next = task;
  next.run_directory = folder_.path() / "on-adapter";
  next.data.base = {.reference = "adapter@1",
                    .path = adapter[0].result->output,
                    .format = "peft-adapter",
                    .base = std::make_shared<ModelFiles>(task.data.base)};
  ASSERT_TRUE(Prepare(next.data, prepared).ok());
  const auto again = TrainOn(1, next);
  ASSERT_TRUE(again[0].result.ok()) << again[0].result.status().ToString();
  EXPECT_NEAR(*again[0].result->first_validation_loss, *adapter[0].result->final_validation_loss,
              1e-6);
  EXPECT_EQ(again[0].observer.steps[0].penalty, 0);
  next.method.type = "full";
  EXPECT_THAT(TrainOn(1, next)[0].result.status().message(), HasSubstr("Export it with --merge"));
}

TEST_F(TrainTest, MeasuringTheFisherInformationCanBeStopped) {
  TrainTask task = Task("full", "run");
  task.regularize = {.type = "ewc", .strength = 1, .fisher_examples = 8};
  const auto ranks = TrainOn(2, task, [](int rank, TrainTask&, Recorder& observer) {
    if (rank == 1) observer.stop = StopRequest::kCheckpointAndStop, observer.stop_after = 1;
  });
  for (const auto& [result, observer] : ranks) {
    EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
    EXPECT_TRUE(observer.evaluations.empty());
    EXPECT_EQ(observer.last_progress.phase, "measuring the Fisher information");
  }
  EXPECT_FALSE(fs::exists(task.run_directory / "checkpoints"));
}

TEST_F(TrainTest, AStopThatOneRankHearsStopsAllAtTheSameStep) {
  const auto ranks = TrainOn(3, Task("full", "run"), [](int rank, TrainTask&, Recorder& observer) {
    if (rank == 1) observer.stop = StopRequest::kStop, observer.stop_after = 3;
  });
  for (const auto& [result, observer] : ranks) {
    EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
    EXPECT_EQ(observer.steps.size(), 3u);
  }
  EXPECT_FALSE(fs::exists(folder_.path() / "run" / "checkpoints"));
}

TEST_F(TrainTest, AnEvaluationCanBeStopped) {
  const auto ranks = TrainOn(2, Task("full", "run"), [](int rank, TrainTask&, Recorder& observer) {
    if (rank == 1) observer.stop = StopRequest::kStop, observer.stop_after = 1;
  });
  for (const auto& [result, observer] : ranks) {
    EXPECT_EQ(result.status().code(), StatusCode::kCancelled);
    EXPECT_TRUE(observer.steps.empty() && observer.evaluations.empty());
  }
}

TEST_F(TrainTest, RanksWithDifferentSettingsOrPlansAreRefused) {
  const auto settings = TrainOn(2, Task("full", "a"), [](int rank, TrainTask& task, Recorder&) {
    if (rank == 1) task.optimizer.weight_decay = 0.5;
  });
  const auto plans = TrainOn(2, Task("full", "b"), [](int rank, TrainTask& task, Recorder&) {
    if (rank == 1) task.data.train.max_steps = 9;
  });
  const auto penalties = TrainOn(2, Task("full", "c"), [](int rank, TrainTask& task, Recorder&) {
    if (rank == 1) task.regularize = {.type = "ewc", .strength = 1};
  });
  for (int rank = 0; rank < 2; ++rank) {
    EXPECT_THAT(penalties[rank].result.status().message(),
                HasSubstr("rank 1 has another settings"));
    EXPECT_THAT(settings[rank].result.status().message(), HasSubstr("rank 1 has another settings"));
    EXPECT_THAT(plans[rank].result.status().message(), HasSubstr("rank 1 has another step plan"));
  }
}

TEST_F(TrainTest, RefusesMoreRanksThanSequencesAndWrongValues) {
  Recorder observer;
  auto refuse = [&](const std::function<void(TrainTask&)>& change, int world_size,
                    const std::string& field) {
    TrainTask task = Task("lora", "run");
    change(task);
    const auto result = Train(task, {.world_size = world_size}, nullptr, observer);
    EXPECT_EQ(result.status().code(), StatusCode::kInvalidArgument) << field;
    EXPECT_EQ(result.status().field(), field) << result.status().ToString();
  };
  refuse([](TrainTask&) {}, 5, "ranks");
  refuse([](TrainTask& task) { task.method.type = "lore"; }, 1, "method.type");
  refuse([](TrainTask& task) { task.optimizer.schedule = "cosin"; }, 1, "optimizer.schedule");
  refuse([](TrainTask& task) { task.optimizer.name = "adam"; }, 1, "optimizer.name");
  refuse([](TrainTask& task) { task.optimizer.momentum = 1; }, 1, "optimizer.momentum");
  refuse([](TrainTask& task) { task.optimizer.beta2 = 1; }, 1, "optimizer.betas");
  refuse([](TrainTask& task) { task.evaluate.split = "test"; }, 1, "evaluate.split");
  refuse([](TrainTask& task) { task.regularize.type = "l3"; }, 1, "regularize.type");
  refuse([](TrainTask& task) { task.regularize = {.type = "ewc"}; }, 1, "regularize.strength");
  refuse([](TrainTask& task) { task.data.train.precision = "float16"; }, 1, "train.precision");
  EXPECT_FALSE(fs::exists(folder_.path() / "run"));
}

TEST_F(TrainTest, BFloat16LearnsToo) {
  TrainTask task = Task("full", "run");
  task.data.train.precision = "bfloat16";
  const auto ranks = TrainOn(2, task);
  ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
  EXPECT_LT(*ranks[0].result->final_validation_loss, *ranks[0].result->first_validation_loss - 0.1);
}

}  // namespace
}  // namespace attune::engine
