#include "common/base/glob.h"

#include <vector>

namespace attune {
namespace {

constexpr std::string_view kWildcards = "*?[";

std::vector<std::string_view> NamesOf(std::string_view path) {
  std::vector<std::string_view> names;
  while (true) {
    const size_t slash = path.find('/');
    names.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return names;
    path.remove_prefix(slash + 1);
  }
}

// The length of the "[...]" at the start of the pattern; 0 when it does not close.
size_t SetLength(std::string_view pattern) {
  size_t begin = 1;
  if (begin < pattern.size() && pattern[begin] == '!') ++begin;
  const size_t end = pattern.find(']', begin + 1);  // one right behind the opening is a member
  return end == std::string_view::npos ? 0 : end + 1;
}

bool InSet(std::string_view set, char c) {
  set = set.substr(1, set.size() - 2);
  const bool negated = set.starts_with('!');
  if (negated) set.remove_prefix(1);
  bool found = false;
  for (size_t i = 0; i < set.size(); ++i) {
    if (i + 2 < set.size() && set[i + 1] == '-') {
      found |= set[i] <= c && c <= set[i + 2];
      i += 2;
    } else {
      found |= set[i] == c;
    }
  }
  return found != negated;
}

// How much of the pattern matches the one character; 0: it does not.
size_t MatchOne(std::string_view pattern, char c) {
  if (pattern.empty()) return 0;
  if (pattern[0] == '?') return 1;
  const size_t set = pattern[0] == '[' ? SetLength(pattern) : 0;
  if (set > 0) return InSet(pattern.substr(0, set), c) ? set : 0;
  return pattern[0] == c ? 1 : 0;
}

// Goes back to the last star only, which is enough.
bool MatchesName(std::string_view pattern, std::string_view name) {
  if (name.starts_with('.') && !pattern.starts_with('.')) return false;
  size_t p = 0, n = 0, star = std::string_view::npos, from = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = n;
    } else if (const size_t length = MatchOne(pattern.substr(p), name[n]); length > 0) {
      p += length;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace

bool HasGlob(std::string_view pattern) {
  return pattern.find_first_of(kWildcards) != std::string_view::npos;
}

bool MatchesGlob(std::string_view pattern, std::string_view path) {
  const std::vector<std::string_view> wanted = NamesOf(pattern), names = NamesOf(path);
  // reached[n]: the pattern's names so far match the first n names.
  std::vector<bool> reached(names.size() + 1);
  reached[0] = true;
  for (const std::string_view want : wanted) {
    std::vector<bool> next(names.size() + 1);
    for (size_t n = 0; n <= names.size(); ++n) {
      if (want == "**") {
        const bool visible = n > 0 && !names[n - 1].starts_with('.');
        next[n] = reached[n] || (visible && next[n - 1]);
      } else {
        next[n] = n > 0 && reached[n - 1] && MatchesName(want, names[n - 1]);
      }
    }
    reached = std::move(next);
  }
  return reached[names.size()];
}

std::string GlobFolder(std::string_view pattern) {
  const size_t slash = pattern.substr(0, pattern.find_first_of(kWildcards)).rfind('/');
  if (slash == std::string_view::npos) return "";
  return std::string(slash == 0 ? "/" : pattern.substr(0, slash));
}

}  // namespace attune
