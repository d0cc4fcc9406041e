#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace attune {

// Two lower-case digits a byte.
std::string ToHex(std::span<const uint8_t> bytes);

}  // namespace attune
