#include "common/gates/facts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/gates/facts.h"

namespace attune::gates {
namespace {

TEST(Facts, AreTheSameBytesWhateverTheOrderOfTheirMaps) {
  std::string bytes[2];
  for (int order : {0, 1}) {
    FactsBuilder builder;
    builder.AddSuite("goal", 3, [&](uint64_t, auto* candidate, auto*) {
      for (int k = 0; k < 50; ++k) {
        const int key = order == 0 ? k : 49 - k;
        (*candidate->mutable_scores())["score" + std::to_string(key)] = key;
      }
    });
    bytes[order] = SerializeFacts(builder.facts());
  }
  EXPECT_EQ(bytes[0], bytes[1]);
  auto facts = ParseFacts(bytes[0]);
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(SerializeFacts(*facts), bytes[0]);
}

TEST(Facts, OtherBytesAreRefused) {
  EXPECT_THAT(ParseFacts("{\"json\": 1}").status().message(),
              ::testing::HasSubstr("attune model gates MODEL --save FILE"));
  EXPECT_EQ(ParseFacts("").status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attune::gates
