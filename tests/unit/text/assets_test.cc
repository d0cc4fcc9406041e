#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "common/base/files.h"
#include "tests/support/temporary_folder.h"
#include "worker/text/pre_tokenizer.h"
#include "worker/text/sentencepiece.h"
#include "worker/text/text.h"

namespace attune::text {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class AssetsTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::copy_file("tests/fixtures/text/small/tokenizer.json", folder_.path() / "tokenizer.json");
  }
  void Write(const char* name, const std::string& content) {
    ASSERT_TRUE(WriteFileAtomically(folder_.path() / name, content).ok());
  }
  TextAssets Load() {
    auto assets = LoadTextAssets(folder_.path());
    EXPECT_TRUE(assets.ok()) << assets.status().ToString();
    return assets.ok() ? *assets : TextAssets{};
  }
  std::string LoadError() { return LoadTextAssets(folder_.path()).status().message(); }
  TemporaryFolder folder_;
};

TEST_F(AssetsTest, ABareTokenizerIsEnough) {
  TextAssets assets = Load();
  EXPECT_NE(assets.tokenizer, nullptr);
  EXPECT_EQ(assets.chat_template, nullptr);
  EXPECT_EQ(assets.eos_token, "");
  EXPECT_TRUE(assets.end_ids.empty());
  EXPECT_EQ(assets.fingerprint.size(), 64u);
}

TEST_F(AssetsTest, SpecialTokensAreTextsOrObjects) {
  Write("tokenizer_config.json",
        R"({"bos_token":{"content":"<|im_start|>","special":true},"eos_token":"<|im_end|>"})");
  TextAssets assets = Load();
  EXPECT_EQ(assets.bos_token, "<|im_start|>");
  EXPECT_EQ(assets.eos_token, "<|im_end|>");
  EXPECT_THAT(assets.end_ids, ElementsAre(2));
}

TEST_F(AssetsTest, TheSpecialTokensMapFillsWhatIsMissing) {
  Write("tokenizer_config.json", R"({"bos_token":null,"eos_token":"<|im_end|>"})");
  Write("special_tokens_map.json",
        R"({"bos_token":{"content":"<|im_start|>"},"eos_token":"<|endoftext|>"})");
  TextAssets assets = Load();
  EXPECT_EQ(assets.bos_token, "<|im_start|>");
  EXPECT_EQ(assets.eos_token, "<|im_end|>");
}

TEST_F(AssetsTest, EndIdsComeFromAllConfigurations) {
  Write("tokenizer_config.json", R"({"eos_token":"<|im_end|>"})");
  Write("config.json", R"({"eos_token_id":7,"vocab_size":600})");
  Write("generation_config.json", R"({"eos_token_id":[2,5,-1]})");
  TextAssets assets = Load();
  EXPECT_THAT(assets.end_ids, ElementsAre(2, 5, 7));
}

TEST_F(AssetsTest, SpecialTokensAreFoundByTheirIds) {
  Write("config.json", R"({"bos_token_id":1,"eos_token_id":[2,0]})");
  Write("generation_config.json", R"({"bos_token_id":0,"eos_token_id":0})");
  Write("chat_template.jinja", "{{ bos_token }}{{ eos_token }}");
  TextAssets assets = Load();
  EXPECT_EQ(assets.bos_token, "<|im_start|>");
  EXPECT_EQ(assets.eos_token, "<|im_end|>");
  EXPECT_EQ(*assets.chat_template->Render("[]", false), "<|im_start|><|im_end|>");
  EXPECT_THAT(assets.tokenizer->Encode("", true)->ids, ElementsAre());
  fs::remove(folder_.path() / "config.json");
  EXPECT_EQ(Load().eos_token, "<|endoftext|>");
  Write("generation_config.json", R"({"eos_token_id":100000})");
  EXPECT_EQ(Load().eos_token, "");
}

TEST_F(AssetsTest, TheTemplateFileWinsOverTheConfiguration) {
  auto rendered = [&] { return *Load().chat_template->Render("[]", false); };
  Write(
      "tokenizer_config.json",
      R"({"chat_template":[{"name":"tool_use","template":"t"},{"name":"default","template":"d"}]})");
  EXPECT_EQ(rendered(), "d");
  Write("tokenizer_config.json", R"({"chat_template":"one"})");
  EXPECT_EQ(rendered(), "one");
  Write("chat_template.jinja", "file");
  EXPECT_EQ(rendered(), "file");
}

TEST_F(AssetsTest, FlagsOfTheConfigurationReplaceWhatTheTokenizerAdds) {
  Write("tokenizer_config.json",
        R"({"bos_token":"<|im_start|>","eos_token":"<|im_end|>","add_bos_token":true})");
  TextAssets assets = Load();
  EXPECT_THAT(assets.tokenizer->Encode("", true)->ids, ElementsAre(1));
}

TEST_F(AssetsTest, TheFingerprintFollowsWhatChangesTokens) {
  Write("tokenizer_config.json", R"({"eos_token":"<|im_end|>"})");
  std::string first = Load().fingerprint;
  EXPECT_EQ(Load().fingerprint, first);
  Write("generation_config.json", R"({"temperature":0.5})");
  EXPECT_EQ(Load().fingerprint, first);
  Write("chat_template.jinja", "x");
  EXPECT_NE(Load().fingerprint, first);
}

TEST_F(AssetsTest, FilesAreCarriedOnAsTheyAre) {
  Write("tokenizer_config.json", R"({"eos_token":"<|im_end|>"})");
  Write("config.json", "{}");
  std::vector<std::string> names;
  for (const auto& [name, content] : Load().files) {
    names.push_back(name);
    EXPECT_EQ(content, *ReadFile(folder_.path() / name));
  }
  EXPECT_THAT(names, ElementsAre("tokenizer.json", "tokenizer_config.json"));
}

TEST_F(AssetsTest, ErrorsNameTheFile) {
  Write("tokenizer_config.json", "[");
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer_config.json is not a JSON object"));
  Write("tokenizer_config.json", R"({"eos_token":"<none>"})");
  EXPECT_THAT(LoadError(), HasSubstr("eos_token \"<none>\" is not a token"));
  Write("tokenizer_config.json", R"({"chat_template":"{% if %}"})");
  EXPECT_THAT(LoadError(), HasSubstr("chat template"));
  Write("tokenizer.json", "{}");
  EXPECT_THAT(LoadError(), HasSubstr("tokenizer.json"));
  fs::remove(folder_.path() / "tokenizer.json");
  EXPECT_EQ(LoadTextAssets(folder_.path()).status().code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(LoadTextAssets(folder_.path() / "nothing").status().code(), StatusCode::kNotFound);
}

TEST_F(AssetsTest, AGgufFileInAFolderIsFound) {
  fs::remove(folder_.path() / "tokenizer.json");
  fs::copy_file("tests/fixtures/text/spm/model.gguf", folder_.path() / "model.gguf");
  TextAssets assets = Load();
  EXPECT_EQ(assets.bos_token, "<s>");
  EXPECT_EQ(assets.eos_token, "</s>");
  EXPECT_THAT(assets.end_ids, ElementsAre(2));
  EXPECT_EQ(assets.tokenizer->Encode("a", true)->ids.front(), 1u);
  fs::copy_file(folder_.path() / "model.gguf", folder_.path() / "second.gguf");
  EXPECT_THAT(LoadError(), HasSubstr("2 .gguf files"));
}

// What an export writes must tokenize as the GGUF file did.
TEST_F(AssetsTest, FilesMadeFromGgufLoadAsAFolder) {
  for (const char* name : {"spm", "gpt-4o", "dbrx"}) {
    auto gguf = LoadTextAssets(fs::path("tests/fixtures/text") / name / "model.gguf");
    ASSERT_TRUE(gguf.ok()) << gguf.status().ToString();
    for (const auto& [file, content] : gguf->files) Write(file.c_str(), content);
    TextAssets folder = Load();
    EXPECT_EQ(folder.fingerprint, gguf->fingerprint);
    EXPECT_EQ(folder.end_ids, gguf->end_ids);
    const std::string text = "  Some text, 123 and é😀\n";
    EXPECT_EQ(folder.tokenizer->Encode(text, true)->ids, gguf->tokenizer->Encode(text, true)->ids);
  }
}

TEST_F(AssetsTest, TruncatedGgufFilesAreErrors) {
  fs::remove(folder_.path() / "tokenizer.json");
  const std::string whole = *ReadFile("tests/fixtures/text/spm/model.gguf");
  // The last bytes only pad.
  for (size_t size = 0; size + 64 < whole.size(); size += whole.size() / 37) {
    Write("model.gguf", whole.substr(0, size));
    EXPECT_FALSE(LoadTextAssets(folder_.path()).ok()) << size;
  }
}

TEST(FindPreTokenizer, RefusesNamesItDoesNotKnow) {
  EXPECT_TRUE(FindPreTokenizer("smollm").ok());
  EXPECT_TRUE(FindPreTokenizer("llama-bpe")->ignore_merges);
  auto unknown = FindPreTokenizer("brand-new");
  EXPECT_EQ(unknown.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(unknown.status().message(), HasSubstr("\"brand-new\""));
}

TEST(MergesFromScores, BetterScoresFirstThenLongerParts) {
  auto merges =
      MergesFromScores({"a", "b", "ab", "abb", "bb", "é", "éa"}, {0, 0, -1, -2, -3, 0, -1});
  ASSERT_TRUE(merges.ok());
  std::vector<std::string> shown;
  for (const Merge& merge : *merges)
    shown.push_back(std::string(merge.left) + "+" + std::string(merge.right));
  EXPECT_THAT(shown, ElementsAre("a+b", "é+a", "ab+b", "a+bb", "b+b"));
  EXPECT_FALSE(MergesFromScores({"a"}, {}).ok());
}

}  // namespace
}  // namespace attune::text
