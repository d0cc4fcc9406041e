// Tokens drawn from the distribution that transformers draws from (make_fixtures.py): each draw
// is where its random number falls among transformers' probabilities.

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "worker/engine/model/generate.h"

namespace attune::engine {
namespace {

using nlohmann::json;

constexpr int kDraws = 20000;
constexpr double kTolerance = 1e-6;  // of where one token's part ends and the next one's begins

struct Left {
  uint32_t token;
  double probability;
};

// The likeliest first, which is the order of the draw; the first of equal ones.
std::vector<Left> LeftOf(const json& reference) {
  std::vector<Left> left;
  for (size_t i = 0; i < reference["tokens"].size(); ++i) {
    left.push_back({reference["tokens"][i], reference["probabilities"][i]});
  }
  std::ranges::stable_sort(left, std::ranges::greater(), &Left::probability);
  return left;
}

// Whether the token's part holds the number, all but for rounding.
bool IsDrawnBy(double uniform, uint32_t token, const std::vector<Left>& left) {
  double begin = 0;
  for (const Left& candidate : left) {
    const double end = begin + candidate.probability;
    if (candidate.token == token) return uniform > begin - kTolerance && uniform < end + kTolerance;
    begin = end;
  }
  return false;
}

TEST(SamplingParity, DrawsFromTheProbabilitiesOfTransformers) {
  const json document = json::parse(ReadFile("tests/parity/sampling/expected.json").value());
  ASSERT_GE(document["cases"].size(), 20u);
  for (const json& reference : document["cases"]) {
    const std::string name = reference["logits"];
    SCOPED_TRACE(name + " temperature " + reference["temperature"].dump() + " top_k " +
                 reference["top_k"].dump() + " top_p " + reference["top_p"].dump());
    const auto logits = document["logits"][name].get<std::vector<float>>();
    const LanguageModel::GenerateOptions options = {.temperature = reference["temperature"],
                                                    .top_k = reference["top_k"],
                                                    .top_p = reference["top_p"]};
    const std::vector<Left> left = LeftOf(reference);
    std::mt19937_64 random(5);
    std::set<uint32_t> seen;
    for (int draw = 0; draw < kDraws; ++draw) {
      std::mt19937_64 same = random;
      const double uniform = static_cast<double>(same() >> 11) * 0x1.0p-53;
      const uint32_t token = ChooseToken(logits.data(), std::ssize(logits), options, random);
      ASSERT_TRUE(IsDrawnBy(uniform, token, left)) << "token " << token << " by " << uniform;
      seen.insert(token);
    }
    for (const Left& candidate : left) {
      if (candidate.probability < 1e-3) continue;  // e^-20 to be missed
      EXPECT_TRUE(seen.contains(candidate.token)) << candidate.token;
    }
  }
}

}  // namespace
}  // namespace attune::engine
