#include "coordinator/curation/banding.h"

#include <gmock/gmock.h>

#include <set>

namespace attune::curation {
namespace {

TEST(BandingFor, FindsPairsAtTheThresholdWithFewBands) {
  EXPECT_EQ(BandingFor(0.8).bands, 21u);
  EXPECT_EQ(BandingFor(0.8).bytes, 6u);
  for (double threshold = 0.5; threshold <= 1; threshold += 0.05) {
    const Banding banding = BandingFor(threshold);
    EXPECT_LE(banding.bands * banding.bytes, kPermutations);
    EXPECT_GE(CandidateProbability(banding, threshold), 0.99) << threshold;
  }
}

TEST(FoundProbability, IsAsDocumented) {
  EXPECT_NEAR(FoundProbability(0.8, 0.8), 0.85, 0.03);
  EXPECT_GT(FoundProbability(0.8, 0.85), 0.98);
  EXPECT_GT(FoundProbability(0.8, 0.9), 0.999);
  EXPECT_LT(FoundProbability(0.8, 0.7), 0.08);
  EXPECT_LT(FoundProbability(0.8, 0.6), 1e-4);
  EXPECT_DOUBLE_EQ(FoundProbability(0.8, 1), 1);
}

TEST(AppendBandKeys, TellsBandsApart) {
  Signature zero{};
  std::vector<uint64_t> keys;
  AppendBandKeys(BandingFor(0.8), zero, &keys);
  EXPECT_EQ(std::set<uint64_t>(keys.begin(), keys.end()).size(), 21u);
  Signature other{};
  other[7] = 1;  // of the second band
  std::vector<uint64_t> others;
  AppendBandKeys(BandingFor(0.8), other, &others);
  EXPECT_EQ(keys[0], others[0]);
  EXPECT_NE(keys[1], others[1]);
}

}  // namespace
}  // namespace attune::curation
