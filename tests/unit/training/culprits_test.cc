#include "worker/engine/tasks/culprits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/training/ranks.h"
#include "tests/unit/training/tiny_llama.h"

namespace attune::engine {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What two ranks find of 10 examples, of which the first has the even ones and the second the odd.
std::string Found(const std::set<uint32_t>& guilty, const Status& failure = Status()) {
  const auto shard = testing::RandomExamples(10, 4, 97);
  std::vector<std::string> found(2);
  testing::RunRanks(2, [&](const Membership& membership, KeyValueStore* store) {
    auto group = std::move(*Group::Open(membership, store));
    const CulpritSearch search{.shard = *shard,
                               .is_finite = [&](uint32_t example) -> Result<bool> {
                                 if (!failure.ok() && membership.rank == 1) return failure;
                                 return !guilty.contains(example);
                               },
                               .words =
                                   [&](std::span<const uint32_t> tokens) {
                                     return "begins with " + std::to_string(tokens.front());
                                   }};
    const auto first = static_cast<uint32_t>(membership.rank);
    const std::vector<Sequence> part = {{first, first + 2}, {first + 4, first + 6, first + 8}};
    const auto text = FindCulprits(search, part, *group);
    ASSERT_TRUE(text.ok()) << text.status().ToString();
    found[membership.rank] = *text;
  });
  EXPECT_EQ(found[0], found[1]);
  return found[0];
}

TEST(FindCulprits, NamesThoseOfAllRanks) {
  EXPECT_THAT(Found({}), HasSubstr("none of its examples does so alone"));
  const std::string one = Found({7});
  EXPECT_THAT(one, HasSubstr("this one does so alone: "));
  EXPECT_THAT(one, HasSubstr("(\"begins with "));
  EXPECT_THAT(one, Not(HasSubstr("were not tried")));
  EXPECT_THAT(Found({0, 7}), HasSubstr("these do so alone: "));
}

TEST(FindCulprits, NamesThreeOfARankAndCountsTheRest) {
  EXPECT_THAT(Found({0, 2, 4, 6, 8}), HasSubstr(" (2 were not tried)"));
}

// The others must not wait for it.
TEST(FindCulprits, AnErrorOfOneRankLeavesWhatTheOthersFound) {
  EXPECT_THAT(Found({2}, Internal("no memory")), HasSubstr("this one does so alone: "));
}

}  // namespace
}  // namespace attune::engine
