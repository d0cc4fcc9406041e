#include "worker/trainer/translate.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "worker/trainer/settings.h"

namespace attune::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::TrainerTask Parse(const std::string& text) {
  v1::TrainerTask task;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &task));
  return task;
}

constexpr char kTrainTask[] = R"(
  task_id: "t" job_id: "job-1" generation: 2 rank: 1 world_size: 2
  spec {
    method { type: "lora" rank: 8 alpha: 16 dropout: 0.1 target_modules: "q_proj" target_modules: "v_proj"
             layers: 0 layers: 5 modules_to_save: "lm_head" virtual_tokens: 9 init_text: "Be" dora: true bias: "lora_only" }
    train { epochs: 2 max_steps: 40 sequence_length: 512 packing: true global_batch: 4 micro_batch: 2
            precision: "bfloat16" seed: 9 loss_on: "all" activation_checkpointing: true checkpointed_layers: 3
            max_tokens: 5000000000 max_seconds: 90 ema_decay: 0.99 shard_optimizer: true }
    optimizer { name: "adamw" learning_rate: 3e-4 weight_decay: 0.1 betas: 0.8 betas: 0.95 epsilon: 1e-6
                schedule: "linear" warmup_steps: 3 clip_norm: 0.5 momentum: 0.7 }
    evaluate { every_steps: 20 split: "validation" max_examples: 200 patience: 3 min_delta: 0.01 keep_best: true
               metric: "accuracy" }
    checkpoint { every_steps: 10 keep: 3 }
    regularize { type: "ewc" strength: 5 fisher_examples: 12 }
  }
  base { reference: "m@1" path: "/s/models/m/1" format: "peft-adapter"
         adapter_base { reference: "b@2" path: "/s/models/b/2" format: "gguf" source: "/in/b.gguf" } }
  datasets { reference: "d@1" path: "/s/datasets/d/1" checksum: "abc" weight: 0.7 }
  datasets { reference: "e@2" path: "/s/datasets/e/2" checksum: "def" share: 0.3 }
  token_cache: "/s/cache/tokens" run_directory: "/s/runs/job-1"
  train {})";

TEST(ToTrainTask, CarriesEveryField) {
  const auto out = ToTrainTask(Parse(kTrainTask), {"cpu", 3});
  EXPECT_EQ(out.data.base.reference, "m@1");
  EXPECT_EQ(out.data.base.format, "peft-adapter");
  ASSERT_TRUE(out.data.base.base);
  EXPECT_EQ(out.data.base.base->path, "/s/models/b/2");
  EXPECT_EQ(out.data.base.base->source, "/in/b.gguf");
  ASSERT_EQ(out.data.datasets.size(), 2u);
  EXPECT_EQ(out.data.datasets[0].checksum, "abc");
  EXPECT_DOUBLE_EQ(out.data.datasets[0].weight, 0.7);
  EXPECT_DOUBLE_EQ(out.data.datasets[0].share, 0);
  EXPECT_DOUBLE_EQ(out.data.datasets[1].share, 0.3);
  EXPECT_EQ(out.data.token_cache, "/s/cache/tokens");
  const auto& train = out.data.train;
  EXPECT_DOUBLE_EQ(train.epochs, 2);
  EXPECT_EQ(train.max_steps, 40);
  EXPECT_EQ(train.sequence_length, 512);
  EXPECT_EQ(train.max_tokens, 5000000000);
  EXPECT_EQ(train.max_seconds, 90);
  EXPECT_DOUBLE_EQ(train.ema_decay, 0.99);
  EXPECT_TRUE(train.shard_optimizer);
  EXPECT_EQ(out.evaluate.patience, 3);
  EXPECT_DOUBLE_EQ(out.evaluate.min_delta, 0.01);
  EXPECT_TRUE(out.evaluate.keep_best);
  EXPECT_EQ(out.evaluate.metric, "accuracy");
  EXPECT_TRUE(train.packing);
  EXPECT_EQ(train.global_batch, 4);
  EXPECT_EQ(train.micro_batch, 2);
  EXPECT_EQ(train.precision, "bfloat16");
  EXPECT_EQ(train.seed, 9u);
  EXPECT_EQ(train.loss_on, "all");
  EXPECT_EQ(train.threads, 3);
  EXPECT_TRUE(train.activation_checkpointing);
  EXPECT_EQ(train.checkpointed_layers, 3);
  EXPECT_EQ(out.method.rank, 8);
  EXPECT_DOUBLE_EQ(out.method.alpha, 16);
  EXPECT_DOUBLE_EQ(out.method.dropout, 0.1);
  EXPECT_THAT(out.method.target_modules, ElementsAre("q_proj", "v_proj"));
  EXPECT_TRUE(out.method.dora);
  EXPECT_EQ(out.method.bias, "lora_only");
  EXPECT_THAT(out.method.layers, ElementsAre(0, 5));
  EXPECT_THAT(out.method.modules_to_save, ElementsAre("lm_head"));
  EXPECT_EQ(out.method.virtual_tokens, 9);
  EXPECT_EQ(out.method.init_text, "Be");
  EXPECT_DOUBLE_EQ(out.optimizer.learning_rate, 3e-4);
  EXPECT_DOUBLE_EQ(out.optimizer.weight_decay, 0.1);
  EXPECT_DOUBLE_EQ(out.optimizer.beta1, 0.8);
  EXPECT_DOUBLE_EQ(out.optimizer.beta2, 0.95);
  EXPECT_DOUBLE_EQ(out.optimizer.epsilon, 1e-6);
  EXPECT_EQ(out.optimizer.schedule, "linear");
  EXPECT_EQ(out.optimizer.warmup_steps, 3);
  EXPECT_DOUBLE_EQ(out.optimizer.clip_norm, 0.5);
  EXPECT_DOUBLE_EQ(out.optimizer.momentum, 0.7);
  EXPECT_EQ(out.regularize.type, "ewc");
  EXPECT_DOUBLE_EQ(out.regularize.strength, 5);
  EXPECT_EQ(out.regularize.fisher_examples, 12);
  EXPECT_EQ(out.evaluate.every_steps, 20);
  EXPECT_EQ(out.evaluate.max_examples, 200);
  EXPECT_EQ(out.checkpoint.every_steps, 10);
  EXPECT_EQ(out.checkpoint.keep, 3);
  EXPECT_EQ(out.run_directory, "/s/runs/job-1");
  EXPECT_EQ(out.resume_from, "/s/runs/job-1/checkpoints");
  EXPECT_THAT(out.lineage.at("datasets"), HasSubstr("d@1 sha256:abc"));
  EXPECT_THAT(out.lineage.at("spec"), HasSubstr("learning_rate"));
}

TEST(ToTrainTask, AJobOfBeforeThereWasRegularizeHasNone) {
  auto task = Parse(kTrainTask);
  task.mutable_spec()->clear_regularize();
  EXPECT_EQ(ToTrainTask(task, {"cpu", 3}).regularize.type, "none");
}

// A spec names what belongs to its task alone; with "auto" that is nothing.
TEST(ToTrainTask, WhatATaskDoesNotNameHasTheDefaultsOfTasks) {
  auto task = Parse(kTrainTask);
  task.mutable_spec()->mutable_task()->set_type("auto");
  const engine::Objective found = ToTrainTask(task, {"cpu", 3}).data.objective, defaults;
  EXPECT_EQ(found.type, "auto");
  EXPECT_EQ(found.beta, defaults.beta);
  EXPECT_EQ(found.mask_share, defaults.mask_share);
  EXPECT_EQ(found.scale, defaults.scale);
  task.mutable_spec()->mutable_task()->set_mask_share(0.3);
  EXPECT_EQ(ToTrainTask(task, {"cpu", 3}).data.objective.mask_share, 0.3);
}

TEST(ToTrainTask, TheJobsThreadsWin) {
  auto task = Parse(kTrainTask);
  task.mutable_spec()->mutable_train()->set_threads(1);
  EXPECT_EQ(ToTrainTask(task, {"cpu", 3}).data.train.threads, 1);
}

TEST(ToMembership, IsRankAndDevice) {
  const auto out = ToMembership(Parse(kTrainTask), {"cuda:1", 0, 5000});
  EXPECT_EQ(out.rank, 1);
  EXPECT_EQ(out.world_size, 2);
  EXPECT_EQ(out.device, "cuda:1");
  EXPECT_EQ(out.memory_limit, 5000);
}

TEST(ToGenerateTask, CarriesEveryField) {
  const auto out = ToGenerateTask(Parse(R"(
    base { path: "/m" format: "huggingface" }
    generate { prompts: "a" prompts: "b" inputs { text: "c" }
               inputs { messages: "[1]" tools: "[2]" } system: "s" precision: "bfloat16"
               max_tokens: 7 temperature: 0.5 seed: 3 raw: true })"),
                                  {"cpu", 2});
  ASSERT_EQ(out.prompts.size(), 4u);
  EXPECT_EQ(out.prompts[0].text, "a");
  EXPECT_EQ(out.prompts[1].text, "b");
  EXPECT_EQ(out.prompts[2].text, "c");
  EXPECT_EQ(out.prompts[3].messages, "[1]");
  EXPECT_EQ(out.prompts[3].tools, "[2]");
  EXPECT_EQ(out.system, "s");
  EXPECT_EQ(out.precision, "bfloat16");
  EXPECT_EQ(out.max_tokens, 7);
  EXPECT_DOUBLE_EQ(out.temperature, 0.5);
  EXPECT_DOUBLE_EQ(out.top_p, 1);  // unset: all
  EXPECT_EQ(out.seed, 3u);
  EXPECT_TRUE(out.raw);
  EXPECT_EQ(out.threads, 2);
}

TEST(ToEvaluateTask, CarriesEveryField) {
  Place place{"cuda:1", 2};
  place.judges = {{"half", {"echo", "0.5"}}};
  const auto out = ToEvaluateTask(Parse(R"(
    base { reference: "m@1" path: "/m" format: "huggingface" } run_directory: "/s/runs/job-1"
    datasets { reference: "d@1" path: "/d/1" checksum: "abc" }
    datasets { reference: "d@2" path: "/d/2" }
    evaluate { merge: true dtype: "bfloat16"
      suites { name: "goal" dataset: "d" split: "validation" max_examples: 7 max_tokens: 9
               slices: "language"
               metrics { name: "regex" pattern: "p" } metrics { name: "json_schema" schema: "s" }
               metrics { name: "judge" judge: "half" }
               metrics { name: "accuracy" labels: "x" labels: "y" } }
      suites { name: "kept" dataset: "d" split: "train" }
      smoke { prompt: "Hello" must_match: "a" must_not_match: "b" max_tokens: 5 }
      smoke { prompt: "Again" } })"),
                                  place);
  EXPECT_EQ(out.model.reference, "m@1");
  EXPECT_TRUE(out.merge);
  EXPECT_EQ(out.dtype, "bfloat16");
  EXPECT_EQ(out.run_directory, "/s/runs/job-1");
  EXPECT_EQ(out.device, "cuda:1");
  EXPECT_EQ(out.threads, 2);
  ASSERT_EQ(out.suites.size(), 2u);
  const engine::Suite& goal = out.suites[0];
  EXPECT_EQ(goal.name, "goal");
  EXPECT_EQ(goal.dataset.reference, "d@1");
  EXPECT_EQ(goal.dataset.checksum, "abc");
  EXPECT_EQ(goal.max_examples, 7);
  EXPECT_EQ(goal.max_tokens, 9);
  EXPECT_THAT(goal.slices, ElementsAre("language"));
  ASSERT_EQ(goal.metrics.size(), 4u);
  EXPECT_EQ(goal.metrics[0].pattern, "p");
  EXPECT_EQ(goal.metrics[1].schema, "s");
  EXPECT_EQ(goal.metrics[2].judge, "half");
  EXPECT_THAT(goal.metrics[3].labels, ElementsAre("x", "y"));
  EXPECT_EQ(out.suites[1].dataset.path, "/d/2");
  EXPECT_EQ(out.suites[1].split, "train");
  EXPECT_EQ(out.suites[1].max_tokens, 128);
  ASSERT_EQ(out.smoke.size(), 2u);
  EXPECT_EQ(out.smoke[0].must_match, "a");
  EXPECT_EQ(out.smoke[0].must_not_match, "b");
  EXPECT_EQ(out.smoke[0].max_tokens, 5);
  EXPECT_EQ(out.smoke[1].max_tokens, 128);
  ASSERT_EQ(out.judges.count("half"), 1u);
  const auto judged = out.judges.at("half")("p", "r", "a");
  ASSERT_TRUE(judged.ok()) << judged.status().ToString();
  EXPECT_DOUBLE_EQ(*judged, 0.5);
}

TEST(ToEmbedTask, CarriesEveryField) {
  const auto out = ToEmbedTask(Parse(R"(
    base { path: "/m" format: "huggingface" } datasets { reference: "d@1" path: "/d/1" }
    embed { split: "train" max_examples: 5 max_tokens: 64 })"),
                               {"cpu", 3});
  EXPECT_EQ(out.model.path, "/m");
  EXPECT_EQ(out.dataset.reference, "d@1");
  EXPECT_EQ(out.split, "train");
  EXPECT_EQ(out.max_examples, 5);
  EXPECT_EQ(out.max_tokens, 64);
  EXPECT_EQ(out.threads, 3);
  EXPECT_EQ(ToEmbedTask(Parse("embed {}"), {}).max_tokens, 512);
  EXPECT_EQ(ToEmbedTask(Parse("embed {}"), {}).split, "all");
}

TEST(ToMetricPoint, SaysWhichExamplesAStepHad) {
  const v1::MetricPoint point =
      ToMetricPoint(engine::StepReport{.step = 3, .examples = 12, .examples_digest = 0xabc},
                    Parse("generation: 2 world_size: 4"));
  EXPECT_EQ(point.step(), 3u);
  EXPECT_EQ(point.generation(), 2u);
  EXPECT_EQ(point.ranks(), 4u);
  EXPECT_EQ(point.examples(), 12u);
  EXPECT_EQ(point.examples_digest(), "0000000000000abc");
}

TEST(ToMetricPoint, SaysWhatMemoryWasPredictedAndTaken) {
  const v1::TrainerTask task = Parse("generation: 2 world_size: 4");
  const v1::MetricPoint point =
      ToMetricPoint(engine::StepReport{.predicted_memory = 5, .peak_memory = 7}, task);
  EXPECT_EQ(point.predicted_memory(), 5u);
  EXPECT_EQ(point.peak_memory(), 7u);
  EXPECT_FALSE(ToMetricPoint(engine::StepReport(), task).has_peak_memory());
}

TEST(ToPlanJson, IsOneObject) {
  engine::PlanResult plan;
  plan.steps = 40;
  plan.fill_limit = 0.5;
  plan.memory.weights = 5;
  plan.memory.regularize = 3;
  plan.memory.overhead = 2;
  plan.data.datasets = {
      {"docs@1", 3, 0.25, {.examples = 10, .truncated = 2}, {.unusable = 1}, 30, {}}};
  plan.warnings = {"mind this"};
  const auto json = nlohmann::json::parse(ToPlanJson(plan, 2));
  EXPECT_EQ(json["steps"], 40);
  EXPECT_EQ(json["ranks"], 2);
  EXPECT_EQ(json["fill_limit"], 0.5);
  EXPECT_EQ(json["memory"]["regularize"], 3);
  EXPECT_EQ(json["memory"]["total"], 10);
  EXPECT_EQ(json["datasets"][0]["share"], 0.25);
  EXPECT_EQ(json["datasets"][0]["reference"], "docs@1");
  EXPECT_EQ(json["datasets"][0]["examples_an_epoch"], 30);
  EXPECT_EQ(json["datasets"][0]["train"]["truncated"], 2);
  EXPECT_EQ(json["datasets"][0]["validation"]["unusable"], 1);
  EXPECT_EQ(json["warnings"][0], "mind this");
}

TEST(ToFailureKind, IsWhatTheCoordinatorActsOn) {
  EXPECT_EQ(ToFailureKind(InvalidArgument("dataset")), v1::TaskFailed::INVALID);
  EXPECT_EQ(ToFailureKind(InvalidArgument("the job needs 3.02 GiB a rank, and rank 0 has 2")),
            v1::TaskFailed::NO_MEMORY);
  EXPECT_EQ(ToFailureKind(NotFound("")), v1::TaskFailed::STORAGE);
  EXPECT_EQ(ToFailureKind(DataLoss("")), v1::TaskFailed::STORAGE);
  EXPECT_EQ(ToFailureKind(Unavailable("")), v1::TaskFailed::PEER_LOST);
  EXPECT_EQ(ToFailureKind(DeadlineExceeded("")), v1::TaskFailed::PEER_LOST);
  EXPECT_EQ(ToFailureKind(ResourceExhausted("")), v1::TaskFailed::NO_SPACE);
  EXPECT_EQ(ToFailureKind(Cancelled("")), v1::TaskFailed::KIND_UNSPECIFIED);
  EXPECT_EQ(ToFailureKind(Internal("")), v1::TaskFailed::INTERNAL);
}

TEST(ReadSettings, ComeFromTheEnvironment) {
  std::map<std::string, std::string> environment = {{"ATTUNE_COORDINATOR", "127.0.0.1:7070"},
                                                    {"ATTUNE_TRAINER_ID", "job-g1-r0"},
                                                    {"ATTUNE_RUN_TOKEN", "secret"},
                                                    {"ATTUNE_THREADS", "2"},
                                                    {"ATTUNE_MEMORY_LIMIT", "68719476736"}};
  auto get = [&](const char* name) -> const char* {
    auto it = environment.find(name);
    return it == environment.end() ? nullptr : it->second.c_str();
  };
  auto settings = ReadSettings(get);
  ASSERT_TRUE(settings.ok()) << settings.status().ToString();
  EXPECT_EQ(settings->endpoint.token, "secret");
  EXPECT_EQ(settings->place.device, "cpu");
  EXPECT_EQ(settings->place.threads, 2);
  EXPECT_EQ(settings->place.memory_limit, int64_t{64} << 30);
  EXPECT_TRUE(settings->place.judges.empty());
  environment["ATTUNE_JUDGES"] = R"({"half": ["echo", "0.5"]})";
  settings = ReadSettings(get);
  ASSERT_TRUE(settings.ok()) << settings.status().ToString();
  EXPECT_THAT(settings->place.judges.at("half"), ElementsAre("echo", "0.5"));
  environment["ATTUNE_JUDGES"] = "half";
  EXPECT_THAT(ReadSettings(get).status().message(), HasSubstr("ATTUNE_JUDGES"));
  environment.erase("ATTUNE_JUDGES");
  environment["ATTUNE_THREADS"] = "two";
  EXPECT_THAT(ReadSettings(get).status().message(), HasSubstr("ATTUNE_THREADS"));
  environment["ATTUNE_THREADS"] = "2";
  environment["ATTUNE_MEMORY_LIMIT"] = "64GiB";
  EXPECT_THAT(ReadSettings(get).status().message(), HasSubstr("ATTUNE_MEMORY_LIMIT"));
  environment["ATTUNE_MEMORY_LIMIT"] = "";
  environment["ATTUNE_COORDINATOR"] = "10.0.0.1:7070";
  EXPECT_THAT(ReadSettings(get).status().message(), HasSubstr("ATTUNE_COORDINATOR_CA"));
  environment.erase("ATTUNE_RUN_TOKEN");
  EXPECT_THAT(ReadSettings(get).status().message(), HasSubstr("ATTUNE_RUN_TOKEN"));
}

}  // namespace
}  // namespace attune::trainer
