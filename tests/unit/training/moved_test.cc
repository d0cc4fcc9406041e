// What Export says of a merge: how the outputs moved.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/base/hash.h"
#include "tests/unit/training/task_fixture.h"
#include "worker/engine/batches/batch.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/prepare.h"
#include "worker/engine/data/sample_rows.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/tasks/probe.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using testing::ReadAll;
using testing::Recorder;

class MovedTest : public testing::TaskTest {
 protected:
  void SetUp() override {
    TaskTest::SetUp();
    const auto ranks = TrainOn(1, Task("lora", "run"));
    ASSERT_TRUE(ranks[0].result.ok()) << ranks[0].result.status().ToString();
    task_ = {.model = {.reference = "out@1",
                       .path = ranks[0].result->output,
                       .format = "peft-adapter",
                       .base = std::make_shared<ModelFiles>(Base())},
             .folder = folder_.path() / "merged",
             .merge = true,
             .datasets = Task("lora", "run").data.datasets};
  }

  json Moved(Recorder* observer) const {
    fs::remove_all(task_.folder);
    const Status status = Export(task_, *observer);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return observer->lines.empty() ? json() : json::parse(observer->lines.back()).at("moved");
  }
  json Moved() const {
    Recorder observer;
    const json moved = Moved(&observer);
    EXPECT_THAT(observer.warnings, ::testing::IsEmpty());
    return moved;
  }

  // Log probabilities of the validation split, one example at a time: double [rows, vocabulary].
  std::vector<at::Tensor> LogProbabilities(const ModelFiles& files, bool adapter = true) const {
    auto model = LanguageModel::Load(files, {.frozen = true});
    auto rows = SampleRows(task_.datasets[0], {"validation"}, 0);
    auto text = LoadModelText(files);
    EXPECT_TRUE(model.ok() && rows.ok() && text.ok());
    (*model)->SetTraining(false, 0);
    if (!adapter) (*model)->EnableAdapter(false);
    const TokenizeOptions options{.assets = *text, .sequence_length = 512, .vocabulary_size = 260};
    std::vector<at::Tensor> out;
    for (const SampledRow& row : *rows) {
      const auto example = TokenizeExample(row.line, options);
      EXPECT_TRUE(example.ok() && example->has_target);
      const PackedBatch batch =
          PackTexts(std::vector<BatchText>{{example->tokens, example->targets, 0}}, at::kCPU);
      out.push_back(at::log_softmax((*model)->Logits(batch, batch.target_rows).to(at::kDouble), 1));
      targets_.push_back(batch.targets);
    }
    return out;
  }
  ModelFiles Merged() const {
    return {.reference = "merged@1", .path = task_.folder, .format = "huggingface"};
  }

  ExportTask task_;
  mutable std::vector<at::Tensor> targets_;
};

TEST_F(MovedTest, AMergeInFloat32MovesNextToNothing) {
  const json moved = Moved();
  EXPECT_EQ(moved.at("source"), "validation of data@1");
  EXPECT_EQ(moved.at("examples"), 25);
  EXPECT_GE(moved.at("kl"), 0.0);
  EXPECT_LT(moved.at("kl"), 1e-9);
  EXPECT_LT(moved.at("largest_logit_difference"), 1e-4);
  EXPECT_EQ(moved.at("same_top_token"), 1.0);
  EXPECT_NEAR(moved.at("loss_before").get<double>(), moved.at("loss_after").get<double>(), 1e-6);
}

// The numbers against what the two models say of each example by itself.
TEST_F(MovedTest, RoundingToBfloat16MovesALittleAndByAsMuchAsIsSaid) {
  task_.dtype = "bfloat16";
  const json moved = Moved();
  const auto before = LogProbabilities(task_.model), after = LogProbabilities(Merged());
  double kl = 0, loss_before = 0, loss_after = 0;
  int64_t rows = 0, same = 0;
  for (size_t e = 0; e < before.size(); ++e) {
    kl += (before[e].exp() * (before[e] - after[e])).sum().item<double>();
    for (int64_t row = 0; row < before[e].size(0); ++row, ++rows) {
      const int64_t target = targets_[e][row].item<int64_t>();
      loss_before -= before[e][row][target].item<double>();
      loss_after -= after[e][row][target].item<double>();
      same += before[e][row].argmax().item<int64_t>() == after[e][row].argmax().item<int64_t>();
    }
  }
  const auto count = static_cast<double>(rows);
  EXPECT_EQ(moved.at("tokens"), rows);
  EXPECT_NEAR(moved.at("kl").get<double>(), kl / count, 1e-8);
  EXPECT_NEAR(moved.at("loss_before").get<double>(), loss_before / count, 1e-5);
  EXPECT_NEAR(moved.at("loss_after").get<double>(), loss_after / count, 1e-5);
  EXPECT_NEAR(moved.at("same_top_token").get<double>(), static_cast<double>(same) / count, 0.01);
  EXPECT_GT(moved.at("kl"), 1e-7);
  EXPECT_LT(moved.at("kl"), 1e-2);
  EXPECT_GT(moved.at("largest_logit_difference"), 1e-4);

  // It is the adapter that is on before, not the bare base.
  const auto bare = LogProbabilities(task_.model, /*adapter=*/false);
  double bare_loss = 0;
  for (size_t e = 0; e < bare.size(); ++e) {
    bare_loss -= bare[e].gather(1, targets_[e].unsqueeze(1)).sum().item<double>();
  }
  EXPECT_GT(bare_loss / count, loss_before / count + 0.1);
}

TEST_F(MovedTest, WithoutDataThereAreSentences) {
  task_.datasets.clear();
  const json moved = Moved();
  EXPECT_EQ(moved.at("source"), "built-in sentences");
  EXPECT_GE(moved.at("examples"), 10);
  EXPECT_LT(moved.at("kl"), 1e-9);
}

TEST_F(MovedTest, ADamagedDatasetOnlyWarns) {
  const fs::path shard = task_.datasets[0].path / "validation-00000.jsonl";
  std::ofstream(shard) << "{\"id\"";
  task_.datasets.push_back({.reference = "gone@2", .path = folder_.path() / "gone"});
  Recorder observer;
  const json moved = Moved(&observer);
  EXPECT_EQ(moved.at("source"), "built-in sentences");
  EXPECT_LT(moved.at("kl"), 1e-9);
  ASSERT_EQ(observer.warnings.size(), 2u);
  EXPECT_THAT(observer.warnings[0], HasSubstr("is not compared on data@1: "));
  EXPECT_THAT(observer.warnings[1], HasSubstr("is not compared on gone@2: "));
}

TEST_F(MovedTest, AStopLeavesTheExport) {
  Recorder observer;
  observer.stop = StopRequest::kStop;
  const json moved = Moved(&observer);
  EXPECT_EQ(moved.at("error"), "stopped as asked");
  EXPECT_TRUE(fs::exists(task_.folder / "model.safetensors"));
  ASSERT_EQ(observer.warnings.size(), 1u);
  EXPECT_THAT(observer.warnings[0], HasSubstr("is written, but was not compared"));
}

// float16 has nothing above 65504.
TEST_F(MovedTest, WeightsThatTheDtypeDoesNotHoldAreTold) {
  const fs::path config_path = task_.model.path / "adapter_config.json";
  json config = json::parse(ReadAll(config_path));
  config["lora_alpha"] = 1e9;
  std::ofstream(config_path) << config;
  task_.dtype = "float16";
  Recorder observer;
  const json moved = Moved(&observer);
  EXPECT_THAT(moved.at("error").get<std::string>(), HasSubstr("no finite numbers"));
  EXPECT_EQ(observer.warnings.size(), 1u);
}

TEST_F(MovedTest, AtMostSoManyTokensAreCompared) {
  std::string lines;
  for (int i = 0; i < 100; ++i) {
    const std::string id = std::string(29, '0') + std::to_string(100 + i);
    lines += json{{"id", id}, {"kind", "text"}, {"text", std::string(60, 'x')}}.dump() + "\n";
  }
  const std::string sha256 = Sha256Hex(lines);
  const json shard = {{"file", "validation-0.jsonl"},
                      {"split", "validation"},
                      {"examples", 100},
                      {"bytes", lines.size()},
                      {"sha256", sha256}};
  const json manifest = {
      {"name", "long"}, {"version", 1}, {"checksum", sha256}, {"shards", json::array({shard})}};
  fs::create_directories(folder_.path() / "long");
  folder_.Write("long/validation-0.jsonl", lines);
  folder_.Write("long/manifest.json", manifest.dump());
  const DatasetFiles big{
      .reference = "long@1", .path = folder_.path() / "long", .checksum = sha256};
  // 61 tokens each, of which 60 are predicted.
  task_.datasets = {big};
  EXPECT_EQ(Moved().at("examples"), kProbeTokensMax / 61);
  EXPECT_EQ(Moved().at("tokens"), kProbeTokensMax / 61 * 60);
  // No data set takes another's place.
  task_.datasets = {big, Task("lora", "run").data.datasets[0]};
  const json both = Moved();
  EXPECT_EQ(both.at("source"), "validation of long@1, data@1");
  EXPECT_GT(both.at("examples"), 32);
}

TEST_F(MovedTest, OnlyAMergeIsCompared) {
  task_.merge = false;
  Recorder observer;
  ASSERT_TRUE(Export(task_, observer).ok());
  EXPECT_FALSE(json::parse(observer.lines.back()).contains("moved"));
}

// Models of the fixtures, with a tokenizer of a few words.
class OtherKindsTest : public ::testing::Test {
 protected:
  // An adapter and its base out of tests/fixtures/model.
  ExportTask Merge(const std::string& base, const std::string& adapter) {
    const fs::path fixtures = "tests/fixtures/model", model = folder_.path() / "model";
    fs::copy(fixtures / base, model);
    json words = {{"<unk>", 0}, {"</s>", 1}};
    for (const char* word : {"the", "a", "and", "of", "to", "in", "it", "is", "on", "for"}) {
      words[word] = words.size();
    }
    const json tokenizer = {
        {"version", "1.0"},
        {"added_tokens", json::array()},
        {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
        {"model", {{"type", "WordLevel"}, {"vocab", words}, {"unk_token", "<unk>"}}}};
    std::ofstream(model / "tokenizer.json") << tokenizer;
    std::ofstream(model / "tokenizer_config.json") << R"({"eos_token": "</s>"})";
    ModelFiles files{.reference = "base@1", .path = model, .format = "huggingface"};
    return {.model = {.reference = "adapter@1",
                      .path = fixtures / adapter,
                      .format = "peft-adapter",
                      .base = std::make_shared<ModelFiles>(files)},
            .folder = folder_.path() / "merged",
            .merge = true};
  }
  json Moved(const ExportTask& task) {
    Recorder observer;
    const Status status = Export(task, observer);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_THAT(observer.warnings, ::testing::IsEmpty());
    return observer.lines.empty() ? json() : json::parse(observer.lines.back()).at("moved");
  }

  TemporaryFolder folder_;
};

TEST_F(OtherKindsTest, AnEncoderDecoderAnswersTheSame) {
  const json moved = Moved(Merge("flan-t5", "flan-t5-lora"));
  EXPECT_EQ(moved.at("source"), "built-in sentences");
  EXPECT_LT(moved.at("kl"), 1e-8);
  EXPECT_EQ(moved.at("same_top_token"), 1.0);
}

TEST_F(OtherKindsTest, AnEncoderIsComparedByItsHiddenStates) {
  const json moved = Moved(Merge("bert-masked", "bert-masked-lora"));
  EXPECT_GE(moved.at("examples"), 10);
  EXPECT_GT(moved.at("least_cosine"), 0.99999);
  EXPECT_LT(moved.at("largest_difference"), 1e-4);
  EXPECT_FALSE(moved.contains("kl"));
}

}  // namespace
}  // namespace attune::engine
