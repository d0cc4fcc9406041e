#pragma once

// Merges of a SentencePiece vocabulary that lists none. Private to this folder.

#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace attune::text {

struct Merge {
  std::string_view left, right;
};

// Every way to cut a piece into two others is a merge; better scores first, then longer parts. The
// order is that of transformers' generate_merges, so that the ids are equal.
Result<std::vector<Merge>> MergesFromScores(const std::vector<std::string_view>& tokens,
                                            const std::vector<double>& scores);

}  // namespace attune::text
