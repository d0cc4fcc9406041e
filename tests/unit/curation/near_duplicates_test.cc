#include "coordinator/curation/near_duplicates.h"

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <string>

#include "common/base/hash.h"
#include "tests/support/temporary_folder.h"

namespace attune::curation {
namespace {

using ::testing::ElementsAre;

class NearDuplicatesTest : public ::testing::Test {
 protected:
  std::vector<uint32_t> Clusters(const std::vector<Signature>& signatures,
                                 uint64_t buffer_bytes = 256 << 20) {
    Result<NearDuplicates> found =
        NearDuplicates::Create({.folder = folder_.path(), .buffer_bytes = buffer_bytes});
    EXPECT_TRUE(found.ok()) << found.status().ToString();
    for (const Signature& signature : signatures) EXPECT_TRUE(found->Add(signature).ok());
    Result<std::vector<uint32_t>> clusters = found->Finish();
    EXPECT_TRUE(clusters.ok()) << clusters.status().ToString();
    return clusters.ok() ? *clusters : std::vector<uint32_t>();
  }

  const TemporaryFolder folder_;
};

std::string Sentence(uint64_t seed) {
  Random random(seed);
  std::string text;
  for (int i = 0; i < 80; ++i) text += "word" + std::to_string(random.Below(5000)) + " ";
  return text;
}

// Families of 1 to 4 texts that differ in a word, mixed.
std::vector<Signature> Families(int count, std::vector<uint32_t>* expected) {
  std::vector<Signature> signatures;
  std::map<uint64_t, uint32_t> first;
  Random random(7);
  for (int i = 0; i < count; ++i) {
    const uint64_t family = random.Below(static_cast<uint64_t>(count));
    signatures.push_back(SignatureOf(Sentence(family) + " version" + std::to_string(i)));
    expected->push_back(first.try_emplace(family, static_cast<uint32_t>(i)).first->second);
  }
  return signatures;
}

TEST_F(NearDuplicatesTest, GivesTheFirstRowOfEachCluster) {
  const std::string text = Sentence(1);
  EXPECT_THAT(Clusters({SignatureOf(Sentence(0)), SignatureOf(text), SignatureOf("short"),
                        SignatureOf(text + "more"), SignatureOf("Short!")}),
              ElementsAre(0, 1, 2, 1, 2));
  EXPECT_THAT(Clusters({}), ElementsAre());
}

TEST_F(NearDuplicatesTest, FindsTheSameWithASmallBuffer) {
  std::vector<uint32_t> expected;
  const std::vector<Signature> signatures = Families(4000, &expected);
  const std::vector<uint32_t> found = Clusters(signatures);
  EXPECT_EQ(found, expected);
  // 84,000 pairs in 21 runs.
  EXPECT_EQ(Clusters(signatures, /*buffer_bytes=*/49'152), expected);
}

// Rows kept since an earlier version are those of which new rows are near-duplicates; among
// themselves they were compared before.
TEST_F(NearDuplicatesTest, ComparesNewRowsWithStoredOnes) {
  const auto stored = std::make_shared<std::vector<Signature>>();
  for (uint64_t i : {0, 1, 1, 2}) stored->push_back(SignatureOf(Sentence(i)));
  for (const bool compared : {false, true}) {
    Result<NearDuplicates> found =
        NearDuplicates::Create({.folder = folder_.path(), .stored_are_compared = compared});
    ASSERT_TRUE(found.ok());
    const std::span<const Signature> all(*stored);
    ASSERT_TRUE(found->AddStored(all.subspan(0, 3), stored).ok());
    ASSERT_TRUE(found->AddStored({}, nullptr).ok());
    ASSERT_TRUE(found->AddStored(all.subspan(3), stored).ok());
    for (uint64_t i : {3, 2, 3}) ASSERT_TRUE(found->Add(SignatureOf(Sentence(i))).ok());
    EXPECT_EQ(found->rows(), 7u);
    EXPECT_THAT(*found->Finish(), ElementsAre(0, 1, compared ? 1 : 2, 3, 4, 3, 4));
    EXPECT_EQ(found->At(2), SignatureOf(Sentence(1)));
    EXPECT_EQ(found->At(3), SignatureOf(Sentence(2)));
    EXPECT_EQ(found->At(6), SignatureOf(Sentence(3)));
  }
}

TEST_F(NearDuplicatesTest, JoinsChains) {
  std::vector<Signature> chain;
  std::string text = Sentence(3);
  for (int i = 0; i < 30; ++i) {
    chain.push_back(SignatureOf(text));
    text = text.substr(text.find(' ') + 1) + "new" + std::to_string(i) + " ";
  }
  std::reverse(chain.begin() + 1, chain.end());  // the last is nearest to none before it
  EXPECT_THAT(Clusters(chain), ::testing::Each(0u));
}

TEST_F(NearDuplicatesTest, IsLinearInTheSizeOfACluster) {
  const std::vector<Signature> equal(50'000, SignatureOf("the same text"));
  EXPECT_THAT(Clusters(equal), ::testing::Each(0u));
}

TEST_F(NearDuplicatesTest, LeavesNoFileBehind) {
  std::vector<uint32_t> expected;
  Clusters(Families(1000, &expected), 49'152);
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

// Among what is stored, among the keys of new and stored rows, while they are sorted, and in one
// large group of equal rows.
TEST_F(NearDuplicatesTest, EndsWhenNobodyWaitsForIt) {
  constexpr size_t kRows = 3 * CancelCheck::kStepsAnAsk;
  const auto stored = std::make_shared<std::vector<Signature>>(kRows, SignatureOf("the same text"));
  const size_t bands = BandingFor(kThresholdDefault).bands;
  const size_t steps = kRows + 2 * kRows + 3 * 2 * kRows * bands;  // filter, keys; add, merge, join
  for (uint32_t gone = 1;; gone += 29) {
    uint32_t asks = 0;
    Result<NearDuplicates> found =
        NearDuplicates::Create({.folder = folder_.path(),
                                .buffer_bytes = 49'152,
                                .cancelled = CancelCheck([&] { return ++asks >= gone; })});
    ASSERT_TRUE(found.ok());
    ASSERT_TRUE(found->AddStored(*stored, stored).ok());
    for (const Signature& signature : *stored) ASSERT_TRUE(found->Add(signature).ok());
    const Status status = found->Finish().status();
    if (status.ok()) {
      EXPECT_GE(asks, steps / CancelCheck::kStepsAnAsk);
      break;
    }
    ASSERT_EQ(status.code(), StatusCode::kCancelled);
    ASSERT_EQ(asks, gone);
  }
}

TEST_F(NearDuplicatesTest, SaysThatAFolderIsMissing) {
  EXPECT_EQ(NearDuplicates::Create({.folder = folder_.path() / "none"}).status().code(),
            StatusCode::kNotFound);
}

}  // namespace
}  // namespace attune::curation
