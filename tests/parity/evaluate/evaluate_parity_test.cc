// Losses of each example, entropies and mean hidden states, as transformers and peft have them
// (make_fixtures.py): examples of the small models packed into one pass, and whole EVALUATE and
// EMBED tasks of SmolLM2 out of its GGUF file.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/parity/model/fixture.h"
#include "tests/support/base64.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine/eval/measure.h"
#include "worker/engine/evaluation.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Sums over a vocabulary and a mean over positions in float32, beside the references' float64.
constexpr double kSmallTolerance = 2e-5;
constexpr double kSmolLm2Tolerance = 5e-4;

json Expected() {
  return ReadJson("tests/fixtures/evaluate/expected.json");
}

double Near(double value) {
  return std::max(1.0, std::abs(value));
}

TokenizedExample ToExample(const json& example) {
  TokenizedExample out;
  out.tokens = example["tokens"].get<std::vector<uint32_t>>();
  out.targets = example["targets"].get<std::vector<uint8_t>>();
  return out;
}

class SmallEvaluateParity : public testing::TestWithParam<std::string> {};

TEST_P(SmallEvaluateParity, EachExampleIsThatOfTransformers) {
  const json wanted = Expected()["small"][GetParam()];
  const json examples = ReadJson(FixtureFolder(GetParam()) / "expected.json")["examples"];
  ModelFiles files{.reference = GetParam(), .path = FixtureFolder(GetParam())};
  files.format = "huggingface";
  if (GetParam() == "lora") {
    files.format = "peft-adapter";
    files.base = std::make_shared<ModelFiles>(
        ModelFiles{.path = FixtureFolder("default"), .format = "huggingface"});
  }
  auto model = LanguageModel::Load(files, {.frozen = true});
  ASSERT_TRUE(model.ok()) << model.status().ToString();
  std::vector<TokenizedExample> tokens;
  for (const json& example : examples) tokens.push_back(ToExample(example));
  for (const bool every_row : {true, false}) {
    const auto measured =
        MeasureExamples(**model, tokens, every_row, at::kCPU, [] { return Status(); });
    ASSERT_TRUE(measured.ok()) << measured.status().ToString();
    ASSERT_EQ(measured->size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      const double loss = wanted[i]["loss_sum"];
      EXPECT_NEAR((*measured)[i].loss_sum, loss, kSmallTolerance * Near(loss));
      if (!every_row) continue;
      EXPECT_NEAR((*measured)[i].entropy, wanted[i]["entropy"], kSmallTolerance);
      const auto embedding = wanted[i]["embedding"].get<std::vector<double>>();
      ASSERT_EQ((*measured)[i].embedding.size(), embedding.size());
      for (size_t k = 0; k < embedding.size(); ++k) {
        EXPECT_NEAR((*measured)[i].embedding[k], embedding[k],
                    kSmallTolerance * Near(embedding[k]));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, SmallEvaluateParity,
                         testing::Values("default", "tied-bias", "llama3", "lora"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// With its answer an example has a loss; a source alone, as a text is embedded, has none.
TEST(EncoderDecoderEvaluate, AnswersHaveLossesAndSourcesAloneEmbeddings) {
  const json document = ReadJson(FixtureFolder("t5") / "expected.json");
  const auto model = LoadFixture("t5", {.frozen = true});
  std::vector<TokenizedExample> answered, alone;
  size_t tokens = 0;
  for (const json& example : document["examples"]) {
    answered.push_back(ToExample(example));
    TokenizedExample& source = alone.emplace_back(answered.back());
    std::ranges::fill(source.targets, uint8_t{0});
    tokens += source.tokens.size();
  }
  const auto measure = [&](const std::vector<TokenizedExample>& examples) {
    return MeasureExamples(*model, examples, /*every_row=*/true, at::kCPU, [] { return Status(); })
        .value();
  };
  double loss = 0;
  for (const MeasuredExample& example : measure(answered)) {
    EXPECT_TRUE(example.predicted);
    EXPECT_GT(example.entropy, 0);
    loss += example.loss_sum;
  }
  const double wanted = engine::Expected("t5").Get("loss").item<double>();
  EXPECT_NEAR(loss, wanted, kSmallTolerance * wanted);
  for (const MeasuredExample& example : measure(alone)) {
    EXPECT_FALSE(example.predicted);
    EXPECT_EQ(example.embedding.size(), 32u);
    tokens -= static_cast<size_t>(example.tokens);
  }
  EXPECT_EQ(tokens, 0u);
}

class Lines : public Observer {
 public:
  void OnOutput(const std::string& line) override { lines.push_back(json::parse(line)); }
  std::vector<json> lines;
};

// A version with these rows as its validation split; ids are in their order.
DatasetFiles WriteRows(std::vector<json> rows, const fs::path& folder) {
  std::string lines;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::string id = std::to_string(i);
    rows[i]["id"] = std::string(32 - id.size(), '0') + id;
    lines += rows[i].dump() + "\n";
  }
  fs::create_directories(folder);
  const json manifest = {{"name", "data"},
                         {"version", 1},
                         {"checksum", "c"},
                         {"shards",
                          {{{"file", "validation-00000.jsonl"},
                            {"split", "validation"},
                            {"examples", rows.size()},
                            {"bytes", lines.size()},
                            {"sha256", Sha256Hex(lines)}}}}};
  ATTUNE_CHECK(WriteFileAtomically(folder / "validation-00000.jsonl", lines).ok());
  ATTUNE_CHECK(WriteFileAtomically(folder / "manifest.json", manifest.dump()).ok());
  return {.reference = "data@1", .path = folder, .checksum = "c"};
}

class SmolLm2EvaluateParity : public testing::Test {
 protected:
  void SetUp() override {
    expected_ = Expected()["smollm2"];
    model_.reference = "smollm2@1";
    model_.path = fs::path(".deps/models/smollm2") / expected_["file"];
    model_.format = "gguf";
    if (!fs::exists(model_.path))
      GTEST_SKIP() << model_.path << " is absent; tools/setup brings it";
  }

  DatasetFiles WriteDataset(const std::vector<json>& rows) {
    return WriteRows(rows, folder_.path() / "data");
  }

  json expected_;
  ModelFiles model_;
  TemporaryFolder folder_;
};

TEST_F(SmolLm2EvaluateParity, TextsEmbedAsInTransformers) {
  std::vector<json> rows;
  for (const json& text : expected_["texts"])
    rows.push_back({{"kind", "text"}, {"text", text["text"]}});
  Lines lines;
  const Status status = Embed({.model = model_, .dataset = WriteDataset(rows)}, lines);
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_EQ(lines.lines.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const json &line = lines.lines[i], &wanted = expected_["texts"][i];
    SCOPED_TRACE(wanted["text"]);
    EXPECT_EQ(line["tokens"], wanted["tokens"]);
    EXPECT_NEAR(line["loss"], wanted["loss"], kSmolLm2Tolerance);
    EXPECT_NEAR(line["entropy"], wanted["entropy"], kSmolLm2Tolerance);
    const std::vector<float> embedding = FloatsOfBase64(line["embedding"]);
    ASSERT_EQ(embedding.size(), 576u);
    for (size_t k = 0; k < wanted["every_ninth"].size(); ++k) {
      const double value = wanted["every_ninth"][k];
      EXPECT_NEAR(embedding[9 * k], value, kSmolLm2Tolerance * Near(value)) << 9 * k;
    }
  }
}

TEST_F(SmolLm2EvaluateParity, LabelsAreAsLikelyAsInTransformers) {
  std::vector<json> rows;
  for (const json& entry : expected_["labels"]) {
    rows.push_back({{"kind", "prompt_completion"},
                    {"prompt", entry["prompt"]},
                    {"completion", entry["labels"][0]}});
  }
  EvaluateTask task{.model = model_};
  task.suites.push_back({.name = "mood", .dataset = WriteDataset(rows)});
  task.suites[0].metrics = {{.name = "accuracy", .labels = expected_["labels"][0]["labels"]}};
  Lines lines;
  const Status status = Evaluate(task, lines);
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_EQ(lines.lines.size(), rows.size() + 1);
  for (size_t i = 0; i < rows.size(); ++i) {
    const json& line = lines.lines[i]["example"];
    const json& entry = expected_["labels"][i];
    const auto likelihoods = entry["log_likelihoods"].get<std::vector<double>>();
    EXPECT_NEAR(line["loss_sum"], -likelihoods[0], kSmolLm2Tolerance * Near(likelihoods[0]));
    const size_t best = std::ranges::max_element(likelihoods) - likelihoods.begin();
    const std::string label = entry["labels"][best];
    EXPECT_EQ(line["predicted"], label.substr(1));
    double sum = 0;
    for (const double likelihood : likelihoods) sum += std::exp(likelihood - likelihoods[best]);
    EXPECT_NEAR(line["confidence"], 1 / sum, 1e-3);
  }
}

// A whole EMBED task with the encoder of sentence-transformers.
TEST(MiniLmEmbedParity, TextsEmbedAsInSentenceTransformers) {
  const ModelFiles model{
      .reference = "minilm@1", .path = ".deps/models/minilm", .format = "huggingface"};
  if (!fs::exists(model.path)) GTEST_SKIP() << model.path << " is absent; tools/setup brings it";
  const json expected = Expected()["minilm"];
  std::vector<json> rows;
  for (const json& text : expected) rows.push_back({{"kind", "text"}, {"text", text["text"]}});
  TemporaryFolder folder;
  Lines lines;
  const Status status =
      Embed({.model = model, .dataset = WriteRows(rows, folder.path() / "data")}, lines);
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_EQ(lines.lines.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const json &line = lines.lines[i], &wanted = expected[i];
    SCOPED_TRACE(wanted["text"]);
    EXPECT_EQ(line["tokens"], wanted["tokens"]);
    EXPECT_FALSE(line.contains("loss"));
    EXPECT_FALSE(line.contains("entropy"));
    const std::vector<float> embedding = FloatsOfBase64(line["embedding"]);
    ASSERT_EQ(embedding.size(), 384u);
    for (size_t k = 0; k < wanted["every_ninth"].size(); ++k) {
      EXPECT_NEAR(embedding[9 * k], wanted["every_ninth"][k], 2e-6) << 9 * k;
    }
  }
}

}  // namespace
}  // namespace attune::engine
