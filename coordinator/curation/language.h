#pragma once

// The language of a text, by its letters and the frequencies of three of them (Cavnar and Trenkle
// 1994; the crate whatlang). Pure: any number of threads.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace attune::curation {

// So many bytes from the start of a text are looked at.
inline constexpr size_t kLanguageBytesMax = 4096;
// With fewer letters a guess is worth little.
inline constexpr size_t kLanguageLettersMin = 24;

// Codes are ISO 639-1 ("en"), or ISO 639-3 for the few languages that have no code of two letters.
// "" (unknown) for a text that is too short, has no letters, or may well be something else.
std::string LanguageOf(std::string_view text);

// All that LanguageOf can tell, sorted.
const std::vector<std::string>& KnownLanguages();

}  // namespace attune::curation
