#include "coordinator/curation/signature.h"

#include <gmock/gmock.h>

#include <string>

#include "common/base/hash.h"

namespace attune::curation {
namespace {

// Text of so many words, each new for each seed.
std::string WordsText(uint64_t seed, int count) {
  std::string text;
  Random random(seed);
  for (int i = 0; i < count; ++i) text += "w" + std::to_string(random.Next()) + " ";
  return text;
}

TEST(SignatureOf, EstimatesTheJaccardSimilarity) {
  for (int common : {20, 60, 150, 400, 1000}) {
    double error = 0, squares = 0;
    constexpr int kPairs = 60;
    double exact = 0;
    for (int i = 0; i < kPairs; ++i) {
      const std::string shared = WordsText(i, common);
      const std::string a = shared + WordsText(1000 + i, 60), b = shared + WordsText(2000 + i, 60);
      exact = Jaccard(Shingles(a), Shingles(b));
      const double difference = Similarity(SignatureOf(a), SignatureOf(b)) - exact;
      error += difference / kPairs;
      squares += difference * difference / kPairs;
    }
    const double deviation = std::sqrt(exact * (1 - exact) / kPermutations);
    // Unbiased, and no wider than independent permutations are (chi-squared, 60 degrees).
    EXPECT_NEAR(error, 0, 4 * deviation / std::sqrt(kPairs)) << common;
    EXPECT_LT(std::sqrt(squares), 1.35 * deviation + 1e-9) << common;
  }
}

TEST(SignatureOf, OfShortTextsDiffersUnlessTheyAreEqual) {
  EXPECT_EQ(SignatureOf("Yes."), SignatureOf("yes"));
  int alike = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto a = SignatureOf("row " + std::to_string(i));
    alike += Similarity(a, SignatureOf("row " + std::to_string(i + 1))) > 0.5 ? 1 : 0;
  }
  EXPECT_EQ(alike, 0);
}

TEST(SignatureOf, TakesTextsWithoutWordsByTheirBytes) {
  EXPECT_EQ(SignatureOf("..."), SignatureOf("..."));
  EXPECT_LT(Similarity(SignatureOf("..."), SignatureOf("!?!")), 0.2);
  EXPECT_EQ(SignatureOf(""), SignatureOf(""));
}

// Stored signatures are compared with new ones: if this fails, raise kSignatureVersion.
TEST(SignatureOf, IsTheSameInEachVersion) {
  std::string hex;
  for (uint8_t byte :
       SignatureOf("The quick brown fox jumps over the lazy dog. 快速的棕色狐狸 x += 1")) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  EXPECT_EQ(Sha256Hex(hex).substr(0, 16), "0d1e1be837ef15c5");
}

TEST(Jaccard, OfShingleSets) {
  EXPECT_DOUBLE_EQ(Jaccard({1, 2, 3}, {2, 3, 4}), 0.5);
  EXPECT_DOUBLE_EQ(Jaccard({}, {}), 1);
  EXPECT_DOUBLE_EQ(Jaccard({1}, {}), 0);
  EXPECT_EQ(Shingles("a b c d e f").size(), 2u);
  EXPECT_EQ(Shingles("a b").size(), 1u);
  EXPECT_EQ(Shingles("a b a b a b a b a b").size(), 2u);
}

}  // namespace
}  // namespace attune::curation
