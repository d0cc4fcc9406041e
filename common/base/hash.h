#pragma once

// SHA-256 (OpenSSL) for checksums and ids; a 64-bit mix for seeded, portable pseudo-randomness.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void Update(const void* data, size_t size);
  void Update(std::string_view bytes) { Update(bytes.data(), bytes.size()); }
  std::string Hex();  // 64 characters; ends the computation

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string Sha256Hex(std::string_view bytes);
Result<std::string> Sha256OfFile(const std::filesystem::path& path);

// splitmix64 (Steele, Lea, Flood 2014): the same numbers on every machine and compiler.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // Uniform in [0, bound), bound > 0, without modulo bias (Lemire 2019).
  uint64_t Below(uint64_t bound);

 private:
  uint64_t state_;
};

// "job-" + 12 characters of Crockford base 32 from the system's random source.
std::string NewId(std::string_view prefix);
// 64 hexadecimal characters from the system's random source.
std::string NewToken();

}  // namespace attune
