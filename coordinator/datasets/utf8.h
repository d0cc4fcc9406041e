#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace attune::datasets {

// The position of the first byte that is not well-formed UTF-8 (no overlong forms, surrogates or
// code points above U+10FFFF); npos when all is well.
size_t FindInvalidUtf8(std::string_view bytes);

// Code points of well-formed UTF-8.
uint64_t CountCodePoints(std::string_view text);

// Nothing but ASCII white space.
bool IsBlank(std::string_view text);

}  // namespace attune::datasets
