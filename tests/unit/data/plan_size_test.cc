// Time and memory of a large plan. ATTUNE_PLAN_EXAMPLES=10000000 measures another size than the
// test's.

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <ctime>

#include "common/base/hash.h"
#include "worker/engine/data/plan.h"

namespace attune::engine {
namespace {

// Of this process so far.
uint64_t PeakBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<uint64_t>(usage.ru_maxrss) << 10;
}

// Of this process, whatever else runs.
double CpuSecondsSince(std::clock_t start) {
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// Short ones are more frequent; some are cut at the limit.
std::vector<uint32_t> Lengths(size_t count) {
  Random random(1);
  std::vector<uint32_t> lengths(count);
  for (uint32_t& length : lengths) {
    const uint64_t short_one = 16 + random.Below(400), long_one = 16 + random.Below(1500);
    length = static_cast<uint32_t>(std::min({short_one, long_one, uint64_t{512}}));
    if (random.Below(20) == 0) length = 512;
  }
  return lengths;
}

TEST(StepPlanSize, MillionsOfExamplesArePlannedInSecondsAndLittleMemory) {
  const char* wanted = std::getenv("ATTUNE_PLAN_EXAMPLES");
  const size_t count = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 2'000'000;
  const std::vector<uint32_t> lengths = Lengths(count), targets = lengths;
  const uint64_t before = PeakBytes();
  const auto start = std::clock();
  const auto plan = StepPlan::Make(lengths, targets,
                                   {.sequence_length = 512, .global_batch = 64, .epochs = 1000});
  ASSERT_TRUE(plan.ok()) << plan.status().ToString();
  const double packed = CpuSecondsSince(start);
  const int step = 700 * (*plan)->steps_an_epoch();
  ASSERT_EQ((*plan)->Step(step).sequences.size(), 64u);
  const double first = CpuSecondsSince(start) - packed;
  const auto stepping = std::clock();
  for (int s = 0; s < 1000; ++s) ASSERT_GT((*plan)->Step(step + s).tokens, 0);
  const double a_step = CpuSecondsSince(stepping) / 1000;
  const double bytes = static_cast<double>(PeakBytes() - before) / static_cast<double>(count);
  const double fill = static_cast<double>((*plan)->fewest_sequences()) /
                      static_cast<double>((*plan)->sequences_an_epoch());
  std::printf(
      "%zu examples: %.2f CPU seconds to pack, %.2f for an epoch far on, %.1f us a step, %.1f "
      "bytes an "
      "example; %llu sequences, at least %.4f of the best possible\n",
      count, packed, first, a_step * 1e6, bytes,
      static_cast<unsigned long long>((*plan)->sequences_an_epoch()), fill);
  EXPECT_GT(fill, 0.9995);
  EXPECT_LT(a_step, 0.01);
#if !defined(__has_feature) || \
    (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
  EXPECT_LT(bytes, 32);
#endif
}

}  // namespace
}  // namespace attune::engine
