#pragma once

// Numbers in sentences.

#include <cstdint>
#include <string>

namespace attune {

// At most so many digits that count: "0.05", "1.923", "2.1e+09"; a whole number of up to nine
// digits has all of them.
std::string ShortNumber(double value, int digits = 4);

std::string CountOf(uint64_t count, const std::string& noun);  // "1 example", "1,200 examples"

}  // namespace attune
