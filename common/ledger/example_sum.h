#pragma once

// Which examples went into a step, whatever their order and whichever rank had them: how many, and
// a sum of hashes of their ids modulo 2^64. Sums of parts add up to the sum of the whole. One that
// is missing, repeated or another's changes it, but for one case in 2^64.

#include <cstdint>
#include <span>
#include <string>

namespace attune::ledger {

inline constexpr size_t kIdBytes = 16;

struct ExampleSum {
  uint64_t examples = 0;
  uint64_t digest = 0;

  // id: kIdBytes.
  void Add(std::span<const uint8_t> id);
  void Add(const ExampleSum& other) {
    examples += other.examples;
    digest += other.digest;
  }
  bool operator==(const ExampleSum&) const = default;
};

// 16 hexadecimal characters.
std::string DigestText(uint64_t digest);

}  // namespace attune::ledger
