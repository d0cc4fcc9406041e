#pragma once

// MinHash (Broder, "On the resemblance and containment of documents", 1997): a text as a set of
// shingles, and 128 bytes that tell the Jaccard similarity of any two such sets. Pure functions:
// any number of threads.
//
// A shingle is a run of five words (see words.h), as in Lee et al., "Deduplicating Training Data
// Makes Language Models Better" (2022); a text of fewer is one shingle. Words rather than
// characters, since rows are short: "What is 17 plus 4?" and "What is 18 plus 4?" share most runs
// of characters and are two examples all the same. Code has its identifiers, numbers and operators
// as words, and a script without spaces its characters.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace attune::curation {

inline constexpr size_t kShingleWords = 5;
inline constexpr size_t kPermutations = 128;

// Of each of 128 permutations of all shingles (odd multipliers modulo 2^32, as in Dietzfelbinger
// et al. 1997, of one half of the shingle's 64-bit hash) the byte that the least shingle hashes to
// (Li and Koenig, "b-Bit Minwise Hashing", 2010, with b = 8). The same on every machine.
using Signature = std::array<uint8_t, kPermutations>;

// The distinct hashes of a text's shingles, sorted: what a signature estimates by, for tests and
// for whoever wants the exact similarity.
std::vector<uint64_t> Shingles(std::string_view text);
// |a and b| / |a or b|.
double Jaccard(const std::vector<uint64_t>& a, const std::vector<uint64_t>& b);

Signature SignatureOf(std::string_view text);

// An estimate of the Jaccard similarity, from 0 to 1, with the standard deviation
// sqrt(J (1 - J) / 128): at most 0.044. Bytes that agree by chance are taken off.
double Similarity(const Signature& a, const Signature& b);

}  // namespace attune::curation
