#pragma once

// The words of a text, as near-duplicates and contamination are told by: what is left when case,
// punctuation and white space are taken away.

#include <cstdint>
#include <string_view>
#include <vector>

namespace attune::curation {

// Appends a 64-bit hash of each word of UTF-8 text, in order. A word is
// - a run of letters, digits, marks and '_', with ASCII, Latin-1, Greek and Cyrillic capitals made
//   small;
// - one character of a script that puts no spaces between words (Han, kana, Thai, Lao, Khmer,
//   Burmese, Tibetan);
// - one symbol that carries meaning in code or formulas (+ - * / % = < > & | ^ ~ # $ @, U+2070 to
//   U+2BFF) or is a pictograph.
// All else separates. Bytes that are not UTF-8 separate, too.
void AppendWordHashes(std::string_view text, std::vector<uint64_t>* hashes);

// splitmix64's finaliser: each bit of the result depends on each bit of the value.
inline uint64_t Mix64(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

// The hash of a run of words, and of the run that begins a word later: a polynomial in
// kShingleBase modulo 2^64 (Karp and Rabin 1987), so that each step takes two multiplications.
class RollingHash {
 public:
  // size: words of a run, above 0.
  explicit RollingHash(size_t size);

  void Push(uint64_t word) { value_ = value_ * kBase + word; }
  void Pop(uint64_t oldest) { value_ -= oldest * highest_; }  // after the Push of a further word
  // Of the words pushed and not popped, and of their number.
  uint64_t Get(size_t words) const { return Mix64(value_ + words * kLengthStep); }

 private:
  static constexpr uint64_t kBase = 0x9e3779b97f4a7c15ULL;
  static constexpr uint64_t kLengthStep = 0xd1342543de82ef95ULL;
  uint64_t highest_ = 1;  // kBase to the power of size
  uint64_t value_ = 0;
};

}  // namespace attune::curation
