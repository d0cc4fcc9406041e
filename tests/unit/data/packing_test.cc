#include "worker/engine/data/packing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <set>

namespace attune::engine {
namespace {

// Lengths as the docstrings of Python's standard library have as chats, in SmolLM2's tokens, cut
// at 512: "LENGTH COUNT" lines (tools/demo-data, then tokenized).
std::vector<uint32_t> DocstringLengths() {
  std::ifstream file("tests/fixtures/plan/docstring_lengths.txt");
  std::vector<uint32_t> lengths;
  for (uint32_t length, count; file >> length >> count;)
    lengths.insert(lengths.end(), count, length);
  EXPECT_GT(lengths.size(), 4000u);
  return lengths;
}

// Near a log-normal distribution: a product of uniform factors. Cut at `longest`.
std::vector<uint32_t> SkewedLengths(uint64_t seed, size_t count, uint32_t shortest,
                                    uint32_t longest) {
  Random random(seed);
  std::vector<uint32_t> lengths;
  for (size_t i = 0; i < count; ++i) {
    uint64_t length = shortest << 4;
    for (int factor = 0; factor < 5; ++factor) length = length * (40 + random.Below(120)) / 64;
    lengths.push_back(std::clamp(static_cast<uint32_t>(length >> 4), shortest, longest));
  }
  return lengths;
}

std::vector<uint32_t> UniformLengths(uint64_t seed, size_t count, uint32_t from, uint32_t to) {
  Random random(seed);
  std::vector<uint32_t> lengths;
  for (size_t i = 0; i < count; ++i)
    lengths.push_back(from + static_cast<uint32_t>(random.Below(to - from + 1)));
  return lengths;
}

double Fill(std::span<const uint32_t> lengths, uint32_t capacity, uint64_t sequences) {
  uint64_t tokens = 0;
  for (const uint32_t length : lengths) tokens += length;
  return static_cast<double>(tokens) / static_cast<double>(capacity * sequences);
}

// Every example is in one sequence, and none is too full.
void ExpectWhole(const Histogram& histogram, uint32_t capacity, const LengthPacking& packing) {
  std::vector<uint64_t> counts(histogram.size(), 0);
  uint64_t sequences = 0;
  for (const Pattern& pattern : packing.patterns) {
    uint64_t filled = 0;
    for (const uint32_t kind : pattern.kinds) {
      filled += histogram[kind].length;
      counts[kind] += pattern.times;
    }
    ASSERT_GT(pattern.times, 0u);
    ASSERT_FALSE(pattern.kinds.empty());
    ASSERT_LE(filled, capacity);
    sequences += pattern.times;
  }
  ASSERT_EQ(packing.sequences, sequences);
  for (size_t kind = 0; kind < histogram.size(); ++kind)
    ASSERT_EQ(counts[kind], histogram[kind].count);
}

// The fewest sequences, by trying everything.
uint64_t Optimum(std::vector<uint32_t> lengths, uint32_t capacity) {
  std::ranges::sort(lengths, std::greater());
  std::vector<uint32_t> rooms;
  uint64_t best = lengths.size();
  const auto place = [&](auto& self, size_t next) -> void {
    if (rooms.size() >= best) return;
    if (next == lengths.size()) {
      best = rooms.size();
      return;
    }
    std::set<uint32_t> tried;
    for (size_t i = 0; i < rooms.size(); ++i) {
      if (rooms[i] < lengths[next] || !tried.insert(rooms[i]).second) continue;
      rooms[i] -= lengths[next];
      self(self, next + 1);
      rooms[i] += lengths[next];
    }
    rooms.push_back(capacity - lengths[next]);
    self(self, next + 1);
    rooms.pop_back();
  };
  place(place, 0);
  return best;
}

TEST(PackLengths, EveryMethodPlacesEveryExampleOnce) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    const auto capacity = 10 + static_cast<uint32_t>(random.Below(300));
    const uint32_t shortest = 1 + static_cast<uint32_t>(random.Below(capacity));
    const Histogram histogram =
        CountLengths(UniformLengths(seed, 1 + random.Below(2000), shortest, capacity));
    for (const LengthPacking& packing :
         {BestFitDecreasing(histogram, capacity), FillLongest(histogram, capacity),
          CorrectValues(histogram, capacity, 0), PackLengths(histogram, capacity)}) {
      ASSERT_NO_FATAL_FAILURE(ExpectWhole(histogram, capacity, packing));
      ASSERT_GE(packing.sequences, FewestSequences(histogram, capacity));
    }
  }
}

TEST(PackLengths, FewExamplesArePackedAsWellAsCanBe) {
  int optimal = 0;
  constexpr int kTries = 200;
  for (uint64_t seed = 1; seed <= kTries; ++seed) {
    SCOPED_TRACE(seed);
    const auto lengths = UniformLengths(seed, 14, 5, 60);
    const Histogram histogram = CountLengths(lengths);
    const uint64_t optimum = Optimum(lengths, 100);
    const LengthPacking packing = PackLengths(histogram, 100);
    ASSERT_LE(packing.fewest, optimum);
    ASSERT_GE(packing.sequences, optimum);
    ASSERT_LE(packing.sequences, optimum + 1);
    optimal += packing.sequences == optimum;
  }
  EXPECT_GE(optimal, kTries * 98 / 100);
}

// Item by item, as best-fit decreasing is defined.
TEST(BestFitDecreasing, IsThatOfTheBook) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto lengths = UniformLengths(seed, 500, 3, 90);
    std::vector<uint32_t> sorted = lengths;
    std::ranges::sort(sorted, std::greater());
    std::multiset<uint32_t> rooms;
    for (const uint32_t length : sorted) {
      auto room = rooms.lower_bound(length);
      if (room == rooms.end()) room = rooms.insert(100);
      rooms.insert(*room - length);
      rooms.erase(room);
    }
    EXPECT_EQ(BestFitDecreasing(CountLengths(lengths), 100).sequences, rooms.size());
  }
}

TEST(FewestSequences, KnowsWhatNoPackingCanDo) {
  // Two of three fit nowhere together; the tokens alone would fill two sequences.
  EXPECT_EQ(FewestSequences({{60, 3}}, 100), 3u);
  // At most two of these share a sequence: 180 of 200 tokens.
  EXPECT_EQ(FewestSequences({{34, 10}}, 100), 5u);
  // 10 tokens stay free beside each long one, and nothing is short enough for them.
  EXPECT_EQ(FewestSequences({{20, 5}, {90, 8}}, 100), 9u);
  EXPECT_EQ(FewestSequences({{7, 1}}, 100), 1u);
}

TEST(PackLengths, DocstringsFillMoreThan995Thousandths) {
  const auto lengths = DocstringLengths();
  const Histogram histogram = CountLengths(lengths);
  const LengthPacking packing = PackLengths(histogram, 512);
  const double fill = Fill(lengths, 512, packing.sequences);
  RecordProperty("fill", std::to_string(fill));
  EXPECT_GE(fill, 0.995);
  EXPECT_LE(packing.sequences, packing.fewest + 2);
  EXPECT_LT(fill, 1);
}

// By the bound where lengths allow no more.
TEST(PackLengths, OtherLengthsFillWhatTheyCan) {
  const struct {
    const char* what;
    std::vector<uint32_t> lengths;
    uint32_t capacity;
  } cases[] = {
      {"skewed", SkewedLengths(1, 20'000, 60, 512), 512},
      {"skewed, few", SkewedLengths(2, 2'000, 60, 512), 512},
      {"short", SkewedLengths(3, 20'000, 8, 512), 512},
      {"a third each", UniformLengths(4, 20'000, 130, 210), 512},
      {"wide", UniformLengths(5, 20'000, 2, 400), 512},
      {"long sequences", SkewedLengths(6, 20'000, 60, 2048), 2048},
      {"longer", SkewedLengths(7, 20'000, 200, 8192), 8192},
  };
  for (const auto& [what, lengths, capacity] : cases) {
    const Histogram histogram = CountLengths(lengths);
    const LengthPacking packing = PackLengths(histogram, capacity);
    const double fill = Fill(lengths, capacity, packing.sequences),
                 most = Fill(lengths, capacity, packing.fewest);
    const double best_fit =
        Fill(lengths, capacity, BestFitDecreasing(histogram, capacity).sequences);
    const double longest = Fill(lengths, capacity, FillLongest(histogram, capacity).sequences);
    std::printf("%-16s %.4f of at most %.4f; best fit %.4f, fill longest %.4f\n", what, fill, most,
                best_fit, longest);
    EXPECT_GE(fill, std::min(0.995, most - 0.002)) << what;
    EXPECT_GE(fill, best_fit) << what;
  }
}

TEST(Packer, ChanceDecidesWhichExamplesMeetAndNothingElse) {
  const auto lengths = SkewedLengths(9, 3000, 20, 256);
  const Packer packer(lengths, 256);
  Random one(1), two(2), again(1);
  const Bins a = packer.Pack(&one), b = packer.Pack(&two), c = packer.Pack(&again);
  EXPECT_EQ(a.size(), packer.sequences());
  EXPECT_EQ(b.size(), packer.sequences());
  EXPECT_EQ(a.items, c.items);
  EXPECT_EQ(a.starts, c.starts);
  size_t same = 0;
  for (size_t i = 0; i < a.items.size(); ++i) same += a.items[i] == b.items[i];
  EXPECT_LT(same, a.items.size() / 4);
  std::vector<uint32_t> sorted = b.items;
  std::ranges::sort(sorted);
  for (uint32_t i = 0; i < sorted.size(); ++i) ASSERT_EQ(sorted[i], i);
}

}  // namespace
}  // namespace attune::engine
