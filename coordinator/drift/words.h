#pragma once

#include <set>
#include <string>
#include <string_view>

namespace attune::drift {

// The distinct words of a text's first 64 KiB: runs of letters and digits, in lower case (of
// ASCII), cut at 32 bytes; a character of a script without spaces (from U+2E80 on) is a word.
std::set<std::string> DistinctWords(std::string_view text);

}  // namespace attune::drift
