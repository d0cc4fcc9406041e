#include "worker/engine/tasks/culprits.h"

#include <algorithm>
#include <chrono>
#include <vector>

namespace attune::engine {
namespace {

constexpr size_t kNamedMax = 3;  // of a rank
constexpr size_t kFirstTokens = 16;
// Well below a collective's timeout, within which all ranks must be done.
constexpr std::chrono::seconds kSearchTime{20};

std::string HexOf(std::span<const uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string Named(const CulpritSearch& search, uint32_t index) {
  const TokenExample example = search.shard.Example(index);
  const auto first = example.tokens.first(std::min(kFirstTokens, example.tokens.size()));
  const std::string words = search.words(first);
  return HexOf(example.id) + (words.empty() ? "" : " (\"" + words + "\")");
}

// What torch throws is an error of this rank, as others are: the ranks are still to meet.
Result<bool> Ask(const CulpritSearch& search, uint32_t example) {
  try {
    return search.is_finite(example);
  } catch (const std::exception& error) {
    return Internal(error.what());
  }
}

// A line for each example that was found, and one more with how many were not tried.
Result<std::string> SearchOwn(const CulpritSearch& search, std::span<const Sequence> sequences) {
  const auto deadline = std::chrono::steady_clock::now() + kSearchTime;
  std::string found;
  size_t named = 0, left = 0;
  for (const Sequence& sequence : sequences) {
    for (const uint32_t example : sequence) {
      if (named == kNamedMax || std::chrono::steady_clock::now() > deadline) {
        ++left;
        continue;
      }
      ATTUNE_ASSIGN_OR_RETURN(const bool is_finite, Ask(search, example));
      if (is_finite) continue;
      found += Named(search, example) + "\n";
      ++named;
    }
  }
  return found + std::to_string(left);
}

}  // namespace

Result<std::string> FindCulprits(const CulpritSearch& search, std::span<const Sequence> sequences,
                                 Group& group) {
  const Result<std::string> own = SearchOwn(search, sequences);
  // An error of one rank must not keep the others waiting.
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> all, group.Gather(own.ok() ? *own : "0"));
  std::string names;
  size_t count = 0, left = 0;
  for (const std::string& text : all) {
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      names += (count++ == 0 ? "" : ", ") + text.substr(begin, end - begin);
    }
    left += std::strtoull(text.c_str() + begin, nullptr, 10);
  }
  if (count == 0) {
    return std::string(left == 0 ? ": none of its examples does so alone"
                                 : ": none of those of its examples that were tried does so alone");
  }
  return (count == 1 ? ": of its examples this one does so alone: "
                     : ": of its examples these do so alone: ") +
         names + (left > 0 ? " (" + std::to_string(left) + " were not tried)" : "");
}

}  // namespace attune::engine
