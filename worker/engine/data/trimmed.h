#pragma once

#include <string_view>

namespace attune::engine {

// Without spaces, tabs and line breaks at its ends; Unicode's other white space stays.
inline std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace attune::engine
