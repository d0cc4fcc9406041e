// SmolLM2-135M-Instruct out of its GGUF file: logits and greedy continuations of real prompts, as
// transformers has them.

#include <cstdlib>

#include "tests/parity/model/fixture.h"

namespace attune::engine {
namespace {

class SmolLm2Parity : public testing::Test {
 protected:
  void SetUp() override {
    expected_ = ReadJson("tests/fixtures/model/smollm2.json");
    const std::string file = expected_["file"];
    const std::filesystem::path path = std::filesystem::path(".deps/models/smollm2") / file;
    if (!std::filesystem::exists(path)) {
      GTEST_SKIP() << path << " is absent; tools/setup brings it";
    }
    ModelFiles files;
    files.reference = "smollm2";
    files.path = path;
    files.format = "gguf";
    auto model = LanguageModel::Load(files, {});
    ASSERT_TRUE(model.ok()) << model.status().ToString();
    model_ = std::move(model).value();
  }

  nlohmann::json expected_;
  std::unique_ptr<LanguageModel> model_;
};

TEST_F(SmolLm2Parity, LogitsEqual) {
  for (const nlohmann::json& prompt : expected_["prompts"]) {
    nlohmann::json example = {{"tokens", prompt["tokens"]}};
    example["targets"] = std::vector<int>(prompt["tokens"].size(), 0);
    const PackedBatch batch = Pack({example});
    for (const nlohmann::json& row : prompt["rows"]) {
      const at::Tensor logits =
          model_->Logits(batch, at::tensor({row["row"].get<int64_t>()}, at::kLong));
      const at::Tensor columns = at::tensor(row["columns"].get<std::vector<int64_t>>(), at::kLong);
      const at::Tensor wanted = at::tensor(row["logits"].get<std::vector<float>>(), at::kFloat);
      EXPECT_LT(AbsoluteError(logits[0].index_select(0, columns), wanted), 1e-4) << prompt["text"];
    }
  }
}

TEST_F(SmolLm2Parity, GreedyGenerationEqual) {
  for (const nlohmann::json& prompt : expected_["prompts"]) {
    LanguageModel::GenerateOptions options;
    options.max_tokens = static_cast<int>(prompt["greedy"].size());
    std::vector<uint32_t> tokens;
    const Status status = model_->Generate(prompt["tokens"], options, [&](uint32_t token) {
      tokens.push_back(token);
      return true;
    });
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_EQ(tokens, prompt["greedy"].get<std::vector<uint32_t>>()) << prompt["text"];
  }
}

}  // namespace
}  // namespace attune::engine
