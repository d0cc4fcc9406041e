#include "coordinator/curation/signature.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "common/base/hash.h"
#include "coordinator/curation/words.h"

namespace attune::curation {
namespace {

constexpr size_t kHalf = kPermutations / 2;
constexpr size_t kLanes = 32;  // permutations whose minima stay in registers
constexpr uint64_t kSeed = 0x6d696e68617368ULL;

const std::array<uint32_t, kHalf>& Multipliers() {
  static const std::array<uint32_t, kHalf> multipliers = [] {
    std::array<uint32_t, kHalf> odd;
    Random random(kSeed);
    for (uint32_t& m : odd) m = static_cast<uint32_t>(random.Next() >> 32) | 1;
    return odd;
  }();
  return multipliers;
}

// The least of values[i] * multipliers[j] for each j. Inlined into a function for each instruction
// set.
[[gnu::always_inline]] inline void MinimaBody(const uint32_t* values, size_t count,
                                              const uint32_t* multipliers, uint32_t* minima) {
  uint32_t least[kLanes], factor[kLanes];
  for (size_t j = 0; j < kLanes; ++j) {
    least[j] = ~0u;
    factor[j] = multipliers[j];
  }
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < kLanes; ++j) least[j] = std::min(least[j], values[i] * factor[j]);
  }
  std::memcpy(minima, least, sizeof least);
}

using MinimaFunction = void (*)(const uint32_t*, size_t, const uint32_t*, uint32_t*);

void MinimaBaseline(const uint32_t* values, size_t count, const uint32_t* multipliers,
                    uint32_t* minima) {
  MinimaBody(values, count, multipliers, minima);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void MinimaAvx2(const uint32_t* values, size_t count,
                                        const uint32_t* multipliers, uint32_t* minima) {
  MinimaBody(values, count, multipliers, minima);
}
#endif

MinimaFunction BestMinima() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return MinimaAvx2;
#endif
  return MinimaBaseline;
}

// In the text's order, with repetitions.
std::vector<uint64_t> AllShingles(std::string_view text) {
  std::vector<uint64_t> words;
  words.reserve(text.size() / 5 + 8);
  AppendWordHashes(text, &words);
  if (words.empty()) {  // punctuation alone
    for (char c : text) words.push_back(static_cast<uint8_t>(c));
  }
  RollingHash hash(kShingleWords);
  std::vector<uint64_t> shingles;
  shingles.reserve(words.size());
  for (size_t i = 0; i < words.size(); ++i) {
    hash.Push(words[i]);
    if (i >= kShingleWords) hash.Pop(words[i - kShingleWords]);
    if (i + 1 >= kShingleWords) shingles.push_back(hash.Get(kShingleWords));
  }
  if (shingles.empty()) shingles.push_back(hash.Get(words.size()));
  return shingles;
}

uint8_t ByteOf(uint32_t minimum) {
  return static_cast<uint8_t>(Mix64(minimum) >> 56);
}

}  // namespace

std::vector<uint64_t> Shingles(std::string_view text) {
  std::vector<uint64_t> shingles = AllShingles(text);
  std::ranges::sort(shingles);
  shingles.erase(std::ranges::unique(shingles).begin(), shingles.end());
  return shingles;
}

double Jaccard(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b) {
  size_t both = 0;
  for (auto i = a.begin(), j = b.begin(); i != a.end() && j != b.end();) {
    if (*i == *j) {
      ++both;
      ++i;
      ++j;
    } else {
      ++(*i < *j ? i : j);
    }
  }
  const size_t either = a.size() + b.size() - both;
  return either == 0 ? 1 : static_cast<double>(both) / static_cast<double>(either);
}

Signature SignatureOf(std::string_view text) {
  static const MinimaFunction minima_of = BestMinima();
  const std::vector<uint64_t> shingles = AllShingles(text);
  // Each half of a hash has its own permutations: that two different texts agree in all of them
  // takes an equal hash of 64 bits.
  std::vector<uint32_t> halves[2];
  for (auto& half : halves) half.reserve(shingles.size());
  for (uint64_t shingle : shingles) {
    halves[0].push_back(static_cast<uint32_t>(shingle));
    halves[1].push_back(static_cast<uint32_t>(shingle >> 32));
  }
  std::array<uint32_t, kPermutations> minima;
  for (size_t first = 0; first < kPermutations; first += kLanes) {
    const std::vector<uint32_t>& half = halves[first / kHalf];
    minima_of(half.data(), half.size(), &Multipliers()[first % kHalf], &minima[first]);
  }
  Signature signature;
  for (size_t i = 0; i < kPermutations; ++i) signature[i] = ByteOf(minima[i]);
  return signature;
}

double Similarity(const Signature& a, const Signature& b) {
  int equal = 0;
  for (size_t i = 0; i < kPermutations; ++i) equal += a[i] == b[i] ? 1 : 0;
  constexpr double kByChance = 1.0 / 256;
  const double share = equal / static_cast<double>(kPermutations);
  return std::max(0.0, (share - kByChance) / (1 - kByChance));
}

}  // namespace attune::curation
