// Scores that compare words.

#include <algorithm>
#include <map>
#include <vector>

#include "common/scoring/scoring.h"
#include "common/scoring/unicode.h"

namespace attune::scoring {
namespace {

using Words = std::vector<std::u32string>;

bool IsAsciiPunctuation(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126);
}

// \b(a|an|the)\b at `begin`: its length, or 0.
size_t ArticleAt(const std::u32string& text, size_t begin) {
  if (begin > 0 && IsWord(text[begin - 1])) return 0;
  for (const std::u32string_view article : {U"a", U"an", U"the"}) {
    const size_t end = begin + article.size();
    if (text.compare(begin, article.size(), article) != 0) continue;
    if (end == text.size() || !IsWord(text[end])) return article.size();
  }
  return 0;
}

// normalize_answer of SQuAD's evaluate-v2.0.py, split into words.
Words SquadWords(std::string_view text) {
  std::u32string kept;
  for (const char32_t c : Decode(text)) {
    const char32_t lower = Lower(c);
    if (!IsAsciiPunctuation(lower)) kept.push_back(lower);
  }
  Words words;
  std::u32string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::exchange(word, {}));
  };
  for (size_t i = 0; i < kept.size();) {
    const size_t article = ArticleAt(kept, i);
    if (article > 0 || IsSpace(kept[i])) end_word();
    if (article == 0 && !IsSpace(kept[i])) word.push_back(kept[i]);
    i += std::max<size_t>(article, 1);
  }
  end_word();
  return words;
}

// rouge_score.tokenize without a stemmer.
Words RougeWords(std::string_view text) {
  Words words;
  bool inside = false;
  for (const char32_t c : Decode(text)) {
    const char32_t lower = Lower(c);
    const bool kept = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (kept && !inside) words.emplace_back();
    if (kept) words.back().push_back(lower);
    inside = kept;
  }
  return words;
}

double FMeasure(size_t common, size_t answer, size_t reference) {
  if (common == 0) return 0;
  const double precision = static_cast<double>(common) / static_cast<double>(answer);
  const double recall = static_cast<double>(common) / static_cast<double>(reference);
  return 2 * precision * recall / (precision + recall);
}

size_t LongestCommonSubsequence(const Words& a, const Words& b) {
  std::vector<size_t> row(b.size() + 1, 0);
  for (const std::u32string& word : a) {
    size_t diagonal = 0;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t above = row[j + 1];
      row[j + 1] = word == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string_view Trimmed(std::string_view text) {
  const std::u32string points = Decode(text);
  size_t begin = 0, end = points.size();
  while (begin < end && IsSpace(points[begin])) ++begin;
  while (end > begin && IsSpace(points[end - 1])) --end;
  // White space is well-formed, so its bytes are those of the text.
  const size_t before = Encode(std::u32string_view(points).substr(0, begin)).size();
  const size_t after = Encode(std::u32string_view(points).substr(end)).size();
  return text.substr(before, text.size() - before - after);
}

double ExactMatch(std::string_view answer, std::string_view reference) {
  return SquadWords(answer) == SquadWords(reference) ? 1 : 0;
}

double TokenF1(std::string_view answer, std::string_view reference) {
  const Words a = SquadWords(answer), b = SquadWords(reference);
  if (a.empty() || b.empty()) return a.empty() && b.empty() ? 1 : 0;
  std::map<std::u32string_view, size_t> left;
  for (const std::u32string& word : b) ++left[word];
  size_t common = 0;
  for (const std::u32string& word : a) {
    auto found = left.find(word);
    if (found == left.end() || found->second == 0) continue;
    --found->second;
    ++common;
  }
  return FMeasure(common, a.size(), b.size());
}

double RougeL(std::string_view answer, std::string_view reference) {
  const Words a = RougeWords(answer), b = RougeWords(reference);
  return FMeasure(LongestCommonSubsequence(a, b), a.size(), b.size());
}

}  // namespace attune::scoring
