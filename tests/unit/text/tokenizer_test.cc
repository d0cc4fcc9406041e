#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "worker/text/text.h"

namespace attune::text {
namespace {

std::string SmallJson() {
  std::ifstream stream("tests/fixtures/text/small/tokenizer.json");
  std::stringstream content;
  content << stream.rdbuf();
  return content.str();
}

class TokenizerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::FromJson(SmallJson());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
    tokenizer_ = *tokenizer;
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_F(TokenizerTest, EncodesAndDecodes) {
  const std::string text = "def f(x):\n    return \"é😀\"  # 12";
  auto encoding = tokenizer_->Encode(text, false);
  ASSERT_TRUE(encoding.ok());
  EXPECT_EQ(*tokenizer_->Decode(encoding->ids, false), text);
}

TEST_F(TokenizerTest, OffsetsAreBytesOfTheText) {
  const std::string text = "é x<|im_end|>";
  auto encoding = tokenizer_->Encode(text, false);
  ASSERT_TRUE(encoding.ok());
  ASSERT_EQ(encoding->ids.size(), encoding->offsets.size());
  EXPECT_EQ(encoding->offsets.front().first, 0u);
  auto last = encoding->offsets.back();
  EXPECT_EQ(text.substr(last.first, last.second - last.first), "<|im_end|>");
}

TEST_F(TokenizerTest, SpecialTokensInTheTextAreOneToken) {
  auto encoding = tokenizer_->Encode("<|im_start|>", false);
  ASSERT_TRUE(encoding.ok());
  EXPECT_THAT(encoding->ids, testing::ElementsAre(tokenizer_->TokenToId("<|im_start|>")));
  EXPECT_EQ(*tokenizer_->Decode(encoding->ids, true), "");
}

TEST_F(TokenizerTest, BatchEqualsSinglesOnAnyNumberOfThreads) {
  std::vector<std::string> texts;
  for (int i = 0; i < 500; ++i)
    texts.push_back("text " + std::to_string(i * i) + std::string(i, 'a'));
  std::vector<std::string_view> views(texts.begin(), texts.end());
  for (int threads : {0, 1, 3, 8}) {
    auto batch = tokenizer_->EncodeBatch(views, false, threads);
    ASSERT_TRUE(batch.ok());
    ASSERT_EQ(batch->size(), texts.size());
    for (size_t i = 0; i < texts.size(); i += 37) {
      EXPECT_EQ((*batch)[i], tokenizer_->Encode(texts[i], false)->ids);
    }
  }
  EXPECT_TRUE(tokenizer_->EncodeBatch({}, false, 4)->empty());
}

TEST_F(TokenizerTest, KnowsItsVocabulary) {
  EXPECT_EQ(tokenizer_->vocabulary_size(), 600u);
  EXPECT_EQ(tokenizer_->TokenToId("<|endoftext|>"), 0);
  EXPECT_EQ(tokenizer_->TokenToId("no such token"), -1);
}

TEST_F(TokenizerTest, FramedAddsOnlyWhatItIsTold) {
  auto bos = tokenizer_->TokenToId("<|im_start|>"), eos = tokenizer_->TokenToId("<|im_end|>");
  auto plain = tokenizer_->Encode("x", false)->ids;
  auto framed = tokenizer_->Framed("<|im_start|>", "<|im_end|>");
  ASSERT_TRUE(framed.ok()) << framed.status().ToString();
  EXPECT_THAT((*framed)->Encode("x", true)->ids, testing::ElementsAre(bos, plain[0], eos));
  EXPECT_EQ((*framed)->Encode("x", false)->ids, plain);
  EXPECT_THAT((*tokenizer_->Framed("<|im_start|>", ""))->Encode("x", true)->ids,
              testing::ElementsAre(bos, plain[0]));
  EXPECT_EQ((*tokenizer_->Framed("", ""))->Encode("x", true)->ids, plain);
  EXPECT_EQ((*tokenizer_->Framed("<|im_end|>", "<|im_end|>"))->Encode("x", true)->ids.size(), 3u);
  EXPECT_EQ(tokenizer_->Framed("nope", "").status().code(), StatusCode::kInvalidArgument);
}

TEST_F(TokenizerTest, BadTextIsAnError) {
  EXPECT_EQ(tokenizer_->Encode("a\xff", false).status().code(), StatusCode::kInvalidArgument);
  std::string large((64 << 20) + 1, 'a');
  EXPECT_EQ(tokenizer_->Encode(large, false).status().code(), StatusCode::kInvalidArgument);
  auto batch = tokenizer_->EncodeBatch({"fine", "\xc3"}, false, 2);
  EXPECT_THAT(batch.status().message(), testing::HasSubstr("text 1"));
}

TEST_F(TokenizerTest, UnknownIdsDecodeToNothing) {
  auto decoded = tokenizer_->Decode({4000000000u}, false);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, "");
}

TEST(TokenizerFromJson, DamagedFilesAreErrors) {
  const std::string whole = SmallJson();
  for (std::string_view json :
       {std::string_view(""), std::string_view("{}"), std::string_view("[]"),
        std::string_view(whole).substr(0, whole.size() / 2)}) {
    auto tokenizer = Tokenizer::FromJson(json);
    ASSERT_FALSE(tokenizer.ok());
    EXPECT_EQ(tokenizer.status().code(), StatusCode::kInvalidArgument);
    EXPECT_FALSE(tokenizer.status().message().empty());
  }
}

TEST(TokenizerFromJson, CuttingAndPaddingOfTheFileAreIgnored) {
  std::string json = SmallJson();
  const std::string none = "\"truncation\": null";
  size_t at = json.find(none);
  ASSERT_NE(at, std::string::npos);
  json.replace(
      at, none.size(),
      R"("truncation": {"direction":"Right","max_length":2,"strategy":"LongestFirst","stride":0})");
  auto tokenizer = Tokenizer::FromJson(json);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().ToString();
  EXPECT_GT((*tokenizer)->Encode("many tokens for sure 123456", false)->ids.size(), 5u);
}

}  // namespace
}  // namespace attune::text
