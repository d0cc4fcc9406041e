#pragma once

// As much of Unicode as scores need. Private to this folder.

#include <cstdint>
#include <string>
#include <string_view>

namespace attune::scoring {

// Code points; what is no well-formed UTF-8 becomes U+FFFD.
std::u32string Decode(std::string_view text);
std::string Encode(std::u32string_view text);

// What Python's str.split takes for white space.
bool IsSpace(char32_t c);
// What \w takes in Python's re.
bool IsWord(char32_t c);
char32_t Lower(char32_t c);

}  // namespace attune::scoring
