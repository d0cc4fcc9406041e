#include "worker/text/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <unordered_map>

namespace attune::text {
namespace {

// Longer pieces have too many cuts to be real.
constexpr size_t kPieceBytesMax = 1024;
constexpr size_t kMergesMax = 8 << 20;

struct Candidate {
  Merge merge;
  double score;
  size_t left_length, right_length;  // in code points
};

bool IsContinuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

size_t CodePoints(std::string_view text) {
  return text.size() - static_cast<size_t>(std::ranges::count_if(text, IsContinuation));
}

}  // namespace

Result<std::vector<Merge>> MergesFromScores(const std::vector<std::string_view>& tokens,
                                            const std::vector<double>& scores) {
  if (scores.size() != tokens.size()) {
    return InvalidArgument("tokenizer.ggml.scores has " + std::to_string(scores.size()) +
                           " entries for " + std::to_string(tokens.size()) + " tokens");
  }
  std::unordered_map<std::string_view, size_t> ids;
  ids.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) ids[tokens[i]] = i;
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::string_view piece = tokens[i];
    if (piece.size() > kPieceBytesMax || std::isnan(scores[i])) {
      return InvalidArgument("token " + std::to_string(i) +
                             " of the GGUF file is too long or has no score");
    }
    if (ids[piece] != i) continue;  // spelled twice; the last one counts
    size_t first = candidates.size();
    for (size_t cut = 1; cut < piece.size(); ++cut) {
      if (IsContinuation(piece[cut])) continue;
      Merge merge{piece.substr(0, cut), piece.substr(cut)};
      if (!ids.contains(merge.left) || !ids.contains(merge.right)) continue;
      candidates.push_back({merge, scores[i], CodePoints(merge.left), CodePoints(merge.right)});
    }
    std::sort(candidates.begin() + static_cast<ptrdiff_t>(first), candidates.end(),
              [&](const Candidate& a, const Candidate& b) {
                return std::pair(ids[a.merge.left], ids[a.merge.right]) <
                       std::pair(ids[b.merge.left], ids[b.merge.right]);
              });
    if (candidates.size() > kMergesMax)
      return InvalidArgument("the GGUF vocabulary has too many merges");
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) {
                     return std::tuple(a.score, a.left_length, a.right_length) >
                            std::tuple(b.score, b.left_length, b.right_length);
                   });
  std::vector<Merge> merges;
  merges.reserve(candidates.size());
  for (const Candidate& candidate : candidates) merges.push_back(candidate.merge);
  return merges;
}

}  // namespace attune::text
