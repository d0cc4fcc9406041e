// How long the tests of embeddings take; not a test.
//
// usage: drift_bench [--examples 5000] [--dimension 384] [--threads 2] [--rounds 10]
//
// Two samples of so many examples each. Prints the best and the median of the rounds, and the least
// processor time of one, which other work on the machine hardly changes.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string_view>
#include <vector>

#include "common/base/hash.h"
#include "common/statistics/logistic.h"
#include "common/statistics/mmd.h"

namespace attune::statistics {
namespace {

std::vector<float> MakeSample(size_t count, size_t dimension, uint64_t seed) {
  Random random(seed);
  std::vector<float> rows(count * dimension);
  for (float& value : rows) {
    float sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<float>(random.Next() >> 40) * 0x1p-24f - 0.5f;
    value = sum * 1.7f;
  }
  return rows;
}

double ProcessorTime() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void Measure(const char* name, int rounds, const std::function<double()>& body) {
  std::vector<double> seconds;
  double value = 0, processor = 1e30;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    const double used = ProcessorTime();
    value = body();
    processor = std::min(processor, ProcessorTime() - used);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    seconds.push_back(took.count());
  }
  std::sort(seconds.begin(), seconds.end());
  std::printf("| %s | %.3f | %.3f | %.3f | %.3g |\n", name, seconds.front(),
              seconds[seconds.size() / 2], processor, value);
  std::fflush(stdout);
}

int Run(int argc, char** argv) {
  size_t examples = 5000, dimension = 384;
  int threads = 2, rounds = 10;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const int value = std::atoi(argv[i + 1]);
    if (flag == "--examples") examples = static_cast<size_t>(value);
    if (flag == "--dimension") dimension = static_cast<size_t>(value);
    if (flag == "--threads") threads = value;
    if (flag == "--rounds") rounds = value;
  }
  const std::vector<float> x = MakeSample(examples, dimension, 1);
  const std::vector<float> y = MakeSample(examples, dimension, 2);
  std::printf(
      "| %zu and %zu of %zu numbers, %d threads | best, s | median, s | processor, s | p |\n",
      examples, examples, dimension, threads);
  std::printf("|---|---|---|---|---|\n");
  MmdOptions options;
  options.threads = threads;
  Measure("MMD, Fourier features", rounds,
          [&] { return MaximumMeanDiscrepancy(x, y, dimension, options).p_value; });
  if (examples <= 5000) {
    options.exact_most = 2 * examples;
    Measure("MMD, whole kernel", std::min(rounds, 3),
            [&] { return MaximumMeanDiscrepancy(x, y, dimension, options).p_value; });
  }
  DomainClassifierOptions classifier;
  classifier.threads = threads;
  Measure("domain classifier", std::min(rounds, 3),
          [&] { return DomainClassifier(x, y, dimension, classifier).p_value; });
  return 0;
}

}  // namespace
}  // namespace attune::statistics

int main(int argc, char** argv) {
  return attune::statistics::Run(argc, argv);
}
