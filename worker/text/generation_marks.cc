#include "worker/text/generation_marks.h"

#include <algorithm>

namespace attune::text {
namespace {

// Noncharacters: no text that means anything has them.
constexpr std::string_view kBegin = "\xef\xb7\x90", kEnd = "\xef\xb7\x91";  // U+FDD0, U+FDD1

// "{%- generation %}" has the name "generation", the left edge "{%-" and the right one "%}".
struct Tag {
  std::string_view left, name, right;
};

Tag ReadTag(std::string_view tag) {
  constexpr std::string_view kEdges = "{}%+-", kBlank = " \t\r\n";
  const size_t left = std::min(tag.find_first_not_of(kEdges), tag.size());
  const size_t right = std::max(tag.find_last_not_of(kEdges) + 1, left);
  std::string_view name = tag.substr(left, right - left);
  name.remove_prefix(std::min(name.find_first_not_of(kBlank), name.size()));
  name = name.substr(0, name.find_last_not_of(kBlank) + 1);
  return {tag.substr(0, left), name, tag.substr(right)};
}

// A block with its own scope, as transformers' is. Only tags of blocks take each other's places, so
// that white space is trimmed as before.
std::string Opening(const Tag& tag) {
  return std::string(tag.left) + " with %}{% set attune_generated " + std::string(tag.right);
}
std::string Closing(const Tag& tag) {
  return std::string(tag.left) + " endset %}{{ '" + std::string(kBegin) +
         "' ~ attune_generated ~ '" + std::string(kEnd) + "' }}{% endwith " +
         std::string(tag.right);
}

}  // namespace

std::string WithGenerationMarks(std::string_view source) {
  std::string marked;
  while (!source.empty()) {
    const size_t start = std::min({source.find("{%"), source.find("{#"), source.size()});
    marked += source.substr(0, start);
    source.remove_prefix(start);
    const bool comment = source.starts_with("{#");
    const size_t end = source.find(comment ? "#}" : "%}");
    const std::string_view whole = source.substr(0, end == source.npos ? end : end + 2);
    const Tag tag = comment ? Tag{} : ReadTag(whole);
    if (tag.name == "generation") {
      marked += Opening(tag);
    } else if (tag.name == "endgeneration") {
      marked += Closing(tag);
    } else {
      marked += whole;
    }
    source.remove_prefix(whole.size());
  }
  return marked;
}

Result<MarkedText> TakeMarksOut(std::string_view printed, std::string_view expected) {
  MarkedText out;
  while (true) {
    const size_t begin = printed.find(kBegin);
    out.text += printed.substr(0, begin);
    if (begin == printed.npos) break;
    printed.remove_prefix(begin + kBegin.size());
    const size_t end = printed.find(kEnd);
    if (end == printed.npos) break;
    out.generated.emplace_back(out.text.size(), out.text.size() + end);
    out.text += printed.substr(0, end);
    printed.remove_prefix(end + kEnd.size());
  }
  if (out.text == expected) return out;
  return InvalidArgument(
      "what the {% generation %} blocks of the chat template print cannot be told apart: they are "
      "nested, or the template changes their text afterwards");
}

}  // namespace attune::text
