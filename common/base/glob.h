#pragma once

// Names of files by pattern, as shells have them: '*' any characters of one name, '?' one of them,
// "[a-z]" or "[!a-z]" one of a set (or not), "**" as a whole name any number of folders.

#include <string>
#include <string_view>

namespace attune {

bool HasGlob(std::string_view pattern);

// Of a path with '/' between names. A name with a dot in front matches only a pattern's name that
// has one too. Bytes, not characters.
bool MatchesGlob(std::string_view pattern, std::string_view path);

// The folder that holds all that the pattern may match, without a '/' at its end: "a/b" of
// "a/b/*.jsonl", "" of "*.jsonl", "/" of "/*".
std::string GlobFolder(std::string_view pattern);

}  // namespace attune
