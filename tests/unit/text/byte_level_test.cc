// The fast way of byte-level tokenizers (worker/text/rust/src/byte_level.rs) gives what the crate
// gives.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "common/scoring/unicode.h"
#include "worker/text/text.h"

namespace attune::text {
namespace {

class ByteLevelTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto assets = LoadTextAssets(std::string("tests/fixtures/text/") + GetParam());
    ASSERT_TRUE(assets.ok()) << assets.status().ToString();
    fast_ = assets->tokenizer;
    ASSERT_TRUE(fast_->fast());
    auto by_crate = fast_->ByCrate();
    ASSERT_TRUE(by_crate.ok());
    by_crate_ = *by_crate;
    ASSERT_FALSE(by_crate_->fast());
  }

  void ExpectSame(const std::string& text) const {
    for (bool special : {false, true}) {
      auto fast = fast_->Encode(text, special), by_crate = by_crate_->Encode(text, special);
      ASSERT_TRUE(fast.ok() && by_crate.ok());
      ASSERT_EQ(fast->ids, by_crate->ids) << text;
      ASSERT_EQ(fast->offsets, by_crate->offsets) << text;
    }
  }

  // For every start of the text, or so many of them.
  void ExpectSameAfterAnyStart(const std::string& text, size_t step = 1) const {
    for (bool special : {false, true}) {
      const auto whole = by_crate_->EncodeBatch({text}, special, 1);
      ASSERT_TRUE(whole.ok());
      for (size_t start = 0; start <= text.size(); start += step) {
        if (start < text.size() && (text[start] & 0xc0) == 0x80) continue;
        const std::string_view alone = std::string_view(text).substr(0, start);
        const auto first = by_crate_->EncodeBatch({alone}, special, 1);
        const auto encoded = fast_->EncodeAfter(text, start, special);
        ASSERT_TRUE(first.ok() && encoded.ok()) << encoded.status().ToString();
        ASSERT_EQ(encoded->ids, (*whole)[0]) << text;
        const auto differ = std::ranges::mismatch((*first)[0], (*whole)[0]).in2;
        ASSERT_EQ(encoded->same, static_cast<size_t>(differ - (*whole)[0].begin()))
            << text << " after " << start;
      }
    }
  }

  std::shared_ptr<const Tokenizer> fast_, by_crate_;
};

TEST_P(ByteLevelTest, EveryKindOfCharacterIsSplitAlike) {
  for (uint32_t c = 1; c <= 0x10ffff; c += c < 0x3400 ? 1 : 311) {
    if (c == '@' || (c >= 0xd800 && c < 0xe000)) continue;
    const std::string character = scoring::Encode(std::u32string(1, c));
    for (const char* place : {"'@x", "a@b 1@2", "\n@ \n @"}) {
      std::string text(place);
      for (size_t at; (at = text.find('@')) != std::string::npos;) text.replace(at, 1, character);
      ASSERT_NO_FATAL_FAILURE(ExpectSame(text)) << "U+" << std::hex << c;
    }
  }
}

TEST_P(ByteLevelTest, MixesOfWordsAndSpecialTokensAreEncodedAlike) {
  const char* pieces[] = {"a",   "the",     " ",  "  ",     "\n",  "\r\n",      "\t", "'s",
                          "'LL", "'\u017f", "12", "7",      "٣",   "½",         "é",  "ß",
                          "漢",  "かな",    "🙂", "\u0301", "..",  ",",         "<|", "|>",
                          "_",   "日本",    "-",  "\u00a0", "ing", "<|im_end|>"};
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t n = random() % 16; n > 0; --n) text += pieces[random() % std::size(pieces)];
    ASSERT_NO_FATAL_FAILURE(ExpectSame(text));
  }
}

TEST_P(ByteLevelTest, WhatATextSharesWithItsStartIsThatOfEncodingBoth) {
  const char* pieces[] = {"a",          "the", " ",          "   ",   "\n", "\r\n", "\t",
                          "'",          "s",   "'re",        "12",    "7",  "é",    "漢",
                          "🙂",         "..",  "<|im_end|>", "<|",    "im", "_e",   "nd|>",
                          "<|im_start", "|>",  "ing",        "\u00a0"};
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (size_t n = random() % 24; n > 0; --n) text += pieces[random() % std::size(pieces)];
    ASSERT_NO_FATAL_FAILURE(ExpectSameAfterAnyStart(text));
  }
  ExpectSameAfterAnyStart(std::string(300, ' ') + "x\n" + std::string(300, ' '), 7);
  ExpectSameAfterAnyStart(std::string(400, 'a'), 7);
}

// More merges than symbols are looked at, and words that no cache holds.
TEST_P(ByteLevelTest, LongWordsAreEncodedAlike) {
  ExpectSame(std::string(5000, 'a'));
  ExpectSame(std::string(1000, ' ') + "x");
  std::mt19937 random(2);
  for (int i = 0; i < 200; ++i) {
    std::string word;
    for (size_t n = 10 + random() % 600; n > 0; --n) word += static_cast<char>('a' + random() % 6);
    ASSERT_NO_FATAL_FAILURE(ExpectSame(word));
    ASSERT_NO_FATAL_FAILURE(ExpectSame(word));
  }
}

std::string Name(const testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::erase(name, '-');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ByteLevelTest,
                         testing::Values("small", "llama-bpe", "qwen2", "tekken", "gpt-4o", "dbrx"),
                         Name);

TEST(ByteLevel, OtherTokenizersAreLeftToTheCrate) {
  auto assets = LoadTextAssets("tests/fixtures/text/spm");
  ASSERT_TRUE(assets.ok()) << assets.status().ToString();
  EXPECT_FALSE(assets->tokenizer->fast());
}

}  // namespace
}  // namespace attune::text
