#include "coordinator/curation/band_sorter.h"

#include <gmock/gmock.h>

#include <map>

#include "tests/support/temporary_folder.h"

namespace attune::curation {
namespace {

constexpr uint32_t kPairs = 20'000;
constexpr uint64_t kSmall = 49'152, kLarge = 1 << 20;  // buffers: five runs, none

class BandSorterTest : public ::testing::Test {
 protected:
  const TemporaryFolder folder_;
};

// Each key three times, far apart.
Status AddAll(BandSorter* sorter) {
  for (uint32_t row = 0; row < kPairs; ++row) {
    ATTUNE_RETURN_IF_ERROR(sorter->Add(row % (kPairs / 3), row));
  }
  return Status();
}

TEST_F(BandSorterTest, GroupsTheRowsOfEachKey) {
  for (const uint64_t buffer : {kSmall, kLarge}) {
    BandSorter sorter(folder_.path(), buffer);
    ASSERT_TRUE(AddAll(&sorter).ok());
    std::map<uint32_t, size_t> sizes;  // by first row
    ASSERT_TRUE(sorter
                    .ForEachGroup([&](std::span<const uint32_t> rows) {
                      EXPECT_TRUE(std::ranges::is_sorted(rows));
                      sizes[rows.front()] = rows.size();
                      return Status();
                    })
                    .ok());
    EXPECT_EQ(sizes.size(), kPairs / 3);
    EXPECT_EQ(sizes[0], 4u);
    EXPECT_EQ(sizes[2], 3u);
  }
}

TEST_F(BandSorterTest, EndsWhenNobodyWaitsForIt) {
  for (const uint64_t buffer : {kSmall, kLarge}) {
    bool gone = false;
    BandSorter sorter(folder_.path(), buffer, CancelCheck([&] { return gone; }));
    ASSERT_TRUE(AddAll(&sorter).ok());
    gone = true;
    EXPECT_EQ(AddAll(&sorter).code(), StatusCode::kCancelled);
    size_t groups = 0;
    EXPECT_EQ(sorter
                  .ForEachGroup([&](std::span<const uint32_t>) {
                    ++groups;
                    return Status();
                  })
                  .code(),
              StatusCode::kCancelled);
    EXPECT_LT(groups, CancelCheck::kStepsAnAsk);
  }
}

}  // namespace
}  // namespace attune::curation
