// tests/fixtures/plan/plans.json pins what plans are: on another machine, compiler or version of
// the program the same inputs give the same steps, or a run that is resumed there is another run.
//
// A change on purpose: raise kPlanFormat (plan.h), then run this test with ATTUNE_WRITE_PLANS=1. It
// writes the file only when the format has been raised.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "worker/engine/data/plan.h"

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kFile[] = "tests/fixtures/plan/plans.json";

struct Golden {
  std::string name;
  std::vector<uint32_t> lengths;
  PlanOptions options;
};

std::vector<uint32_t> Lengths(uint64_t seed, size_t count, uint32_t shortest, uint32_t longest) {
  Random random(seed);
  std::vector<uint32_t> lengths;
  for (size_t i = 0; i < count; ++i) {
    // The smaller of two, so that short ones are more frequent.
    const uint64_t width = longest - shortest + 1;
    lengths.push_back(shortest +
                      static_cast<uint32_t>(std::min(random.Below(width), random.Below(width))));
  }
  return lengths;
}

std::vector<Golden> Goldens() {
  return {
      {"one", {7}, {.sequence_length = 8, .global_batch = 4}},
      {"small", Lengths(1, 40, 3, 30), {.seed = 1, .sequence_length = 32, .global_batch = 2}},
      {"epochs",
       Lengths(2, 1000, 20, 512),
       {.seed = 3, .sequence_length = 512, .global_batch = 8, .epochs = 2.5}},
      {"unpacked",
       Lengths(3, 500, 10, 200),
       {.seed = 4, .sequence_length = 256, .packing = false, .global_batch = 16, .epochs = 2}},
      {"cut",
       Lengths(4, 3000, 5, 1024),
       {.seed = 0xffffffffffffffffULL,
        .sequence_length = 1024,
        .global_batch = 4,
        .epochs = 3,
        .max_steps = 100}},
      {"a third each",
       Lengths(5, 2000, 140, 190),
       {.seed = 5, .sequence_length = 512, .global_batch = 16}},
      {"alike",
       std::vector<uint32_t>(300, 64),
       {.seed = 6, .sequence_length = 200, .global_batch = 7}},
      {"long sequences",
       Lengths(7, 5000, 100, 16384),
       {.seed = 7, .sequence_length = 16384, .global_batch = 32}},
  };
}

std::string DigestOfAllSteps(const StepPlan& plan) {
  Sha256 hash;
  for (int s = 0; s < plan.steps(); ++s) {
    for (const Sequence& sequence : plan.Step(s).sequences) {
      for (const uint32_t example : sequence) hash.Update(std::to_string(example) + " ");
      hash.Update("\n");
    }
    hash.Update("\n");
  }
  return hash.Hex();
}

Json Describe(const Golden& golden) {
  std::vector<uint32_t> targets;
  for (const uint32_t length : golden.lengths) targets.push_back((length + 1) / 2);
  const auto plan = StepPlan::Make(golden.lengths, targets, golden.options);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  Json first = Json::array();
  for (int s = 0; s < std::min(2, (*plan)->steps()); ++s)
    first.push_back((*plan)->Step(s).sequences);
  return {{"name", golden.name},
          {"examples", golden.lengths.size()},
          {"steps", (*plan)->steps()},
          {"sequences_an_epoch", (*plan)->sequences_an_epoch()},
          {"fewest_sequences", (*plan)->fewest_sequences()},
          {"digest", (*plan)->Digest()},
          {"all_steps", DigestOfAllSteps(**plan)},
          {"first_steps", first}};
}

// A plan a line.
std::string Text(const std::vector<Json>& plans) {
  std::string text = "{\"format\": " + std::to_string(kPlanFormat) + ", \"plans\": [\n";
  for (size_t i = 0; i < plans.size(); ++i)
    text += plans[i].dump() + (i + 1 < plans.size() ? ",\n" : "\n");
  return text + "]}\n";
}

TEST(StepPlanGolden, PlansAreWhatTheyWere) {
  std::vector<Json> plans;
  for (const Golden& golden : Goldens()) plans.push_back(Describe(golden));
  const auto text = ReadFile(kFile);
  const Json pinned =
      text.ok() ? Json::parse(*text) : Json{{"format", 0}, {"plans", Json::array()}};
  if (std::getenv("ATTUNE_WRITE_PLANS") != nullptr) {
    ASSERT_LT(pinned["format"].get<int>(), kPlanFormat) << "raise kPlanFormat first";
    ASSERT_TRUE(WriteFileAtomically(kFile, Text(plans)).ok());
    return;
  }
  ASSERT_EQ(pinned["format"], kPlanFormat);
  ASSERT_EQ(pinned["plans"].size(), plans.size());
  for (size_t i = 0; i < plans.size(); ++i) {
    EXPECT_EQ(pinned["plans"][i], plans[i])
        << "the same inputs give another plan. On purpose? Raise kPlanFormat and run this test "
           "with ATTUNE_WRITE_PLANS=1";
  }
}

}  // namespace
}  // namespace attune::engine
