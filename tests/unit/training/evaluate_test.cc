// Evaluate and Embed: what is measured, of which examples, and what is left behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/model/folder_checksum.h"
#include "tests/support/base64.h"
#include "tests/unit/training/task_fixture.h"
#include "worker/engine/evaluation.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Recorder;

class EvaluateTest : public testing::TaskTest {
 protected:
  DatasetFiles Data() const { return Task("full", "unused").data.datasets[0]; }

  EvaluateTask Evaluation(std::vector<MetricOptions> metrics = {}) const {
    EvaluateTask task{.model = Base(), .run_directory = folder_.path() / "run", .threads = 1};
    task.suites.push_back({.name = "goal", .dataset = Data(), .metrics = std::move(metrics)});
    task.suites[0].max_tokens = 8;
    return task;
  }

  // A version with these rows as its validation split.
  DatasetFiles WriteRows(const std::string& name, std::vector<json> rows) const {
    std::string lines;
    for (json& row : rows) {
      row["id"] = Sha256Hex(row.dump()).substr(0, 32);
      lines += row.dump() + "\n";
    }
    const fs::path folder = folder_.path() / name;
    fs::create_directories(folder);
    const json shard = {{"file", "validation-00000.jsonl"},
                        {"split", "validation"},
                        {"examples", rows.size()},
                        {"sha256", Sha256Hex(lines)}};
    const json manifest = {{"checksum", name}, {"shards", json::array({shard})}};
    EXPECT_TRUE(WriteFileAtomically(folder / "validation-00000.jsonl", lines).ok());
    EXPECT_TRUE(WriteFileAtomically(folder / "manifest.json", manifest.dump()).ok());
    return {.reference = name + "@1", .path = folder, .checksum = name};
  }

  static std::vector<json> Parse(const Recorder& recorder) {
    std::vector<json> lines;
    for (const std::string& line : recorder.lines) lines.push_back(json::parse(line));
    return lines;
  }
  // The lines of a task that must succeed.
  static std::vector<json> Run(const EvaluateTask& task) {
    Recorder recorder;
    const Status status = Evaluate(task, recorder);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return Parse(recorder);
  }
  static double MeanLoss(const std::vector<json>& lines) {
    double loss = 0, tokens = 0;
    for (const json& line : lines) {
      if (!line.contains("example")) continue;
      loss += line["example"]["loss_sum"].get<double>();
      tokens += line["example"]["target_tokens"].get<double>();
    }
    return loss / tokens;
  }
  // An adapter that was trained for some steps.
  ModelFiles Adapter() const {
    TrainTask task = Task("lora", "lora-run");
    task.optimizer.learning_rate = 0.05;
    EXPECT_TRUE(TrainOn(1, task)[0].result.ok());
    return {.reference = "adapter@1",
            .path = folder_.path() / "lora-run/output",
            .format = "peft-adapter",
            .base = std::make_shared<ModelFiles>(Base())};
  }
};

TEST_F(EvaluateTest, LossesAreThoseThatTrainingMeasures) {
  const auto ranks = TrainOn(1, Task("full", "train-run"));
  ASSERT_TRUE(ranks[0].result.ok());
  const std::vector<json> lines = Run(Evaluation());
  ASSERT_EQ(lines.size(), 26u);
  EXPECT_NEAR(MeanLoss(lines), *ranks[0].result->first_validation_loss, 1e-6);
  std::vector<std::string> ids;
  for (size_t i = 0; i < 25; ++i) ids.push_back(lines[i]["example"]["id"]);
  EXPECT_TRUE(std::ranges::is_sorted(ids));
  const json example = lines[0]["example"];
  EXPECT_EQ(example["suite"], "goal");
  EXPECT_THAT(example["prompt"].get<std::string>(), HasSubstr("The "));
  EXPECT_FALSE(example["reference"].get<std::string>().empty());
  EXPECT_FALSE(example.contains("scores"));
  EXPECT_FALSE(example.contains("answer"));
}

TEST_F(EvaluateTest, TheModelItselfIsTheArtifactUnlessMore) {
  const json artifact = Run(Evaluation()).back()["artifact"];
  const auto checksum = ChecksumFolder(Base().path);
  EXPECT_EQ(artifact["checksum"], checksum->sha256);
  EXPECT_EQ(artifact["bytes"], checksum->bytes);
  EXPECT_EQ(artifact["dtype"], "float32");
  EXPECT_EQ(artifact["device"], "cpu");
  EXPECT_EQ(artifact["precision"], "float32");
  EXPECT_EQ(artifact["tokens_per_second"], 0);
  EXPECT_GT(artifact["parameters"], 1000);
}

TEST_F(EvaluateTest, AMergedAdapterIsMeasuredAsExportWritesIt) {
  const ModelFiles adapter = Adapter();
  EvaluateTask task = Evaluation();
  task.model = adapter;
  const double applied = MeanLoss(Run(task));
  task.merge = true;
  task.dtype = "bfloat16";
  const std::vector<json> merged = Run(task);
  EXPECT_FALSE(fs::exists(task.run_directory / "measured"));

  Recorder recorder;
  const fs::path exported = folder_.path() / "exported";
  ASSERT_TRUE(
      Export({.model = adapter, .folder = exported, .merge = true, .dtype = "bfloat16"}, recorder)
          .ok());
  const json artifact = merged.back()["artifact"];
  EXPECT_EQ(artifact["checksum"], ChecksumFolder(exported)->sha256);
  EXPECT_EQ(artifact["bytes"], ChecksumFolder(exported)->bytes);
  EXPECT_EQ(artifact["dtype"], "bfloat16");
  // What was rounded is what was measured.
  EvaluateTask again = Evaluation();
  again.model = {.reference = "exported", .path = exported, .format = "huggingface"};
  EXPECT_DOUBLE_EQ(MeanLoss(merged), MeanLoss(Run(again)));
  EXPECT_NE(MeanLoss(merged), applied);
  EXPECT_NEAR(MeanLoss(merged), applied, 0.05);
  EXPECT_GT(std::abs(applied - MeanLoss(Run(Evaluation()))), 0.1);  // the adapter matters
}

TEST_F(EvaluateTest, WhatWasWrittenIsRemovedAfterAFailureToo) {
  EvaluateTask task = Evaluation();
  task.dtype = "bfloat16";
  fs::create_directories(task.run_directory / "measured/.model.tmp");  // of a killed attempt
  Recorder recorder;
  const Status status = Evaluate(task, recorder);
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_FALSE(fs::exists(task.run_directory / "measured"));
  recorder.stop = StopRequest::kStop;
  recorder.stop_after = 0;
  EXPECT_EQ(Evaluate(task, recorder).code(), StatusCode::kCancelled);
  EXPECT_FALSE(fs::exists(task.run_directory / "measured"));
}

TEST_F(EvaluateTest, AnswersAreScored) {
  EvaluateTask task = Evaluation({{.name = "exact_match"},
                                  {.name = "token_f1"},
                                  {.name = "rouge_l"},
                                  {.name = "regex", .pattern = "(?s).*"},
                                  {.name = "json_schema", .schema = "{\"type\": \"object\"}"},
                                  {.name = "judge", .judge = "same"},
                                  {.name = "perplexity"}});
  std::vector<std::string> asked;
  task.judges["same"] = [&](const std::string& prompt, const std::string& reference,
                            const std::string& answer) -> Result<double> {
    asked.push_back(prompt);
    EXPECT_FALSE(reference.empty());
    return answer == reference ? 1.0 : 0.25;
  };
  task.suites[0].max_examples = 5;
  task.suites[0].slices = {"length", "language"};
  const std::vector<json> lines = Run(task);
  ASSERT_EQ(lines.size(), 6u);
  for (size_t i = 0; i < 5; ++i) {
    const json example = lines[i]["example"], scores = example["scores"];
    EXPECT_EQ(scores.size(), 6u);
    EXPECT_EQ(scores["regex"], 1);
    EXPECT_EQ(scores["json_schema"], 0);
    EXPECT_EQ(scores["judge"], 0.25);
    EXPECT_TRUE(example["answer"].is_string());
    EXPECT_EQ(example["slices"], json({{"length", "0-127"}, {"language", ""}}));
    EXPECT_EQ(example["prompt"], asked[i]);
  }
  EXPECT_GT(lines.back()["artifact"]["tokens_per_second"], 0);
  EXPECT_GT(lines.back()["artifact"]["first_token_seconds"], 0);
}

TEST_F(EvaluateTest, SlicesComeFromARowsMetadata) {
  EvaluateTask task = Evaluation();
  task.suites[0].dataset = WriteRows("sliced", {{{"kind", "prompt_completion"},
                                                 {"prompt", std::string(200, 'a')},
                                                 {"completion", "b"},
                                                 {"metadata", {{"language", "en"}}}}});
  task.suites[0].slices = {"language", "length", "tenant"};
  EXPECT_EQ(Run(task)[0]["example"]["slices"],
            json({{"language", "en"}, {"length", "128-255"}, {"tenant", ""}}));
}

TEST_F(EvaluateTest, TheLikeliestLabelIsChosen) {
  EvaluateTask task = Evaluation();
  std::vector<json> rows;
  for (int i = 0; i < 6; ++i) {
    rows.push_back({{"kind", "prompt_completion"},
                    {"prompt", "Is " + std::to_string(i) + " even?"},
                    {"completion", i % 2 == 0 ? " yes" : " no"}});
  }
  task.suites[0].dataset = WriteRows("labelled", rows);
  task.suites[0].metrics = {{.name = "accuracy", .labels = {"yes", "no"}},
                            {.name = "calibration_error", .labels = {"yes", "no"}}};
  // The same rows with each label as the completion: their losses decide.
  std::map<std::string, std::map<std::string, double>> losses;
  for (const std::string label : {"yes", "no"}) {
    std::vector<json> completed = rows;
    for (json& row : completed) row["completion"] = " " + label;
    EvaluateTask one = Evaluation();
    one.suites[0].dataset = WriteRows("all-" + label, completed);
    for (const json& line : Run(one)) {
      if (!line.contains("example")) continue;
      losses[line["example"]["prompt"]][label] = line["example"]["loss_sum"];
    }
  }
  for (const json& line : Run(task)) {
    if (!line.contains("example")) continue;
    const json example = line["example"];
    const auto& own = losses[example["prompt"]];
    const std::string best = own.at("yes") <= own.at("no") ? "yes" : "no";
    const double gap = std::abs(own.at("yes") - own.at("no"));
    EXPECT_EQ(example["predicted"], best);
    EXPECT_EQ(example["reference"], " " + example["label"].get<std::string>());
    EXPECT_NEAR(example["confidence"], 1 / (1 + std::exp(-gap)), 1e-5);
    EXPECT_EQ(example["scores"]["accuracy"], example["label"] == best ? 1 : 0);
  }
  task.suites[0].metrics = {{.name = "accuracy", .labels = {"oui", "non"}}};
  Recorder recorder;
  const Status status = Evaluate(task, recorder);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("is one of the labels"));
}

TEST_F(EvaluateTest, AConversationIsAnsweredFromItsLastTurn) {
  EvaluateTask task = Evaluation({{.name = "exact_match"}});
  task.suites[0].dataset = WriteRows("chats", {{{"kind", "messages"},
                                                {"messages",
                                                 {{{"role", "user"}, {"content", "a"}},
                                                  {{"role", "assistant"}, {"content", "b"}},
                                                  {{"role", "user"}, {"content", "c"}},
                                                  {{"role", "assistant"}, {"content", "d"}}}}}});
  const json example = Run(task)[0]["example"];
  EXPECT_EQ(example["prompt"], "user: a\nassistant: b\nuser: c");
  EXPECT_EQ(example["reference"], "d");
}

TEST_F(EvaluateTest, SmokePromptsPassOrSayWhyNot) {
  EvaluateTask task = Evaluation();
  task.suites.clear();
  task.smoke = {{.prompt = "Hello", .must_match = "(?s).", .max_tokens = 4},
                {.prompt = "Hello", .must_match = "never to be seen", .max_tokens = 4},
                {.prompt = "Hello", .must_not_match = "(?s).", .max_tokens = 4},
                {.prompt = "Hello", .max_tokens = 4}};
  const std::vector<json> lines = Run(task);
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0]["smoke"]["passed"], true) << lines[0];
  EXPECT_EQ(lines[0]["smoke"]["prompt"], "Hello");
  EXPECT_EQ(lines[1]["smoke"]["passed"], false);
  EXPECT_THAT(lines[1]["smoke"]["why"].get<std::string>(), HasSubstr("never to be seen"));
  EXPECT_EQ(lines[2]["smoke"]["passed"], false);
  // This model says nothing but line ends.
  EXPECT_EQ(lines[3]["smoke"]["why"], "the answer is empty");
  EXPECT_TRUE(lines[4].contains("artifact"));
}

TEST_F(EvaluateTest, WhatIsWrongIsSaidBeforeTheModelIsLoaded) {
  const std::pair<MetricOptions, const char*> cases[] = {
      {{.name = "bleu"}, "there are loss (or validation_loss), perplexity"},
      {{.name = "regex", .pattern = "["}, "RE2"},
      {{.name = "json_schema", .schema = "{"}, "not JSON"},
      {{.name = "judge", .judge = "missing"}, "no judge 'missing'; it has other"},
      {{.name = "accuracy"}, "labels"}};
  for (const auto& [metric, message] : cases) {
    EvaluateTask task = Evaluation({metric});
    task.model.path = "/no/such/model";
    task.judges["other"] = [](const auto&, const auto&, const auto&) { return 1.0; };
    Recorder recorder;
    const Status status = Evaluate(task, recorder);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << status.ToString();
    EXPECT_THAT(status.message(), HasSubstr(message));
  }
}

TEST_F(EvaluateTest, RowsThatCannotBeAskedAreLeftOutWithAWarning) {
  EvaluateTask task = Evaluation({{.name = "exact_match"}});
  const json good = {{"kind", "prompt_completion"}, {"prompt", "a"}, {"completion", "b"}};
  const json text = {{"kind", "text"}, {"text", "only a text"}};
  task.suites[0].dataset = WriteRows("mixed", {good, text});
  Recorder recorder;
  ASSERT_TRUE(Evaluate(task, recorder).ok());
  EXPECT_EQ(recorder.lines.size(), 2u);
  ASSERT_EQ(recorder.warnings.size(), 1u);
  EXPECT_THAT(recorder.warnings[0], HasSubstr("1 of 2 rows are left out"));
  EXPECT_THAT(recorder.warnings[0], HasSubstr("plain text"));
  task.suites[0].dataset = WriteRows("texts", {text});
  const Status status = Evaluate(task, recorder);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("none of 1 rows can be measured"));
}

TEST_F(EvaluateTest, AJudgesErrorEndsIt) {
  EvaluateTask task = Evaluation({{.name = "judge", .judge = "broken"}});
  task.judges["broken"] = [](const auto&, const auto&, const auto&) -> Result<double> {
    return Internal("ended with exit code 1");
  };
  Recorder recorder;
  const Status status = Evaluate(task, recorder);
  EXPECT_EQ(status.code(), StatusCode::kInternal);
  EXPECT_THAT(status.message(), HasSubstr("judge 'broken' of example "));
  EXPECT_THAT(status.message(), HasSubstr(": ended with exit code 1"));
}

class EmbedTest : public EvaluateTest {
 protected:
  static std::vector<json> Run(const EmbedTask& task) {
    Recorder recorder;
    const Status status = Embed(task, recorder);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return Parse(recorder);
  }
};

TEST_F(EmbedTest, EveryRowOfEverySplitHasALine) {
  const EmbedTask task{.model = Base(), .dataset = Data(), .threads = 1};
  const std::vector<json> lines = Run(task);
  ASSERT_EQ(lines.size(), 145u);
  for (const json& line : lines) {
    EXPECT_EQ(FloatsOfBase64(line["embedding"]).size(), 32u);
    EXPECT_GT(line["entropy"], 0);
    EXPECT_LT(line["entropy"], std::log(260.0));
    EXPECT_GT(line["loss"], 0);
    EXPECT_GT(line["tokens"], 10);
  }
  EmbedTask some = task;
  some.split = "validation";
  some.max_examples = 3;
  EXPECT_EQ(Run(some).size(), 3u);
}

// A row's numbers do not depend on what else is in the pass.
TEST_F(EmbedTest, ARowAloneIsTheSame) {
  const std::vector<json> rows = {{{"kind", "text"}, {"text", "The cat sleeps"}},
                                  {{"kind", "prompt"}, {"prompt", "The dog:"}},
                                  {{"kind", "text"}, {"text", "x"}}};
  EmbedTask task{.model = Base(), .dataset = WriteRows("three", rows), .threads = 1};
  std::map<std::string, json> together;
  for (const json& line : Run(task)) together[line["id"]] = line;
  ASSERT_EQ(together.size(), 3u);
  for (size_t i = 0; i < rows.size(); ++i) {
    task.dataset = WriteRows("one-" + std::to_string(i), {rows[i]});
    const std::vector<json> lines = Run(task);
    ASSERT_EQ(lines.size(), 1u);
    const json &alone = lines[0], &other = together.at(alone["id"]);
    EXPECT_EQ(alone["tokens"], other["tokens"]);
    EXPECT_NEAR(alone["loss"], other["loss"], 1e-6);
    EXPECT_NEAR(alone["entropy"], other["entropy"], 1e-5);
    const auto a = FloatsOfBase64(alone["embedding"]), b = FloatsOfBase64(other["embedding"]);
    for (size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a[k], b[k], 1e-5);
  }
}

TEST_F(EmbedTest, TextsAreCutAndEmptyOnesLeftOut) {
  EmbedTask task{.model = Base(),
                 .dataset = WriteRows("odd", {{{"kind", "text"}, {"text", std::string(90, 'a')}},
                                              {{"kind", "prompt"}, {"prompt", ""}}}),
                 .max_tokens = 16,
                 .threads = 1};
  Recorder recorder;
  ASSERT_TRUE(Embed(task, recorder).ok());
  ASSERT_EQ(recorder.lines.size(), 1u);
  EXPECT_EQ(json::parse(recorder.lines[0])["tokens"], 16);
  ASSERT_EQ(recorder.warnings.size(), 1u);
  EXPECT_THAT(recorder.warnings[0], HasSubstr("1 of 2 rows of odd@1 have no text"));
  task.split = "train";
  EXPECT_THAT(Embed(task, recorder).message(), HasSubstr("has no row"));
}

TEST_F(EmbedTest, AnAdapterIsApplied) {
  EmbedTask task{.model = Base(), .dataset = Data(), .max_examples = 1, .threads = 1};
  const double before = Run(task)[0]["loss"];
  task.model = Adapter();
  EXPECT_GT(std::abs(Run(task)[0]["loss"].get<double>() - before), 1e-3);
}

}  // namespace
}  // namespace attune::engine
