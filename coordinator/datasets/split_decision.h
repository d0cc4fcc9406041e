#pragma once

// On which side of the split each example of an import goes, once all its rows are known. An
// example keeps the side that it had in the newest version of the name; else it goes where its
// cluster of near-duplicates goes; else its id decides. A pure function of what it is made of.

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "common/base/cancel_check.h"
#include "common/base/status.h"
#include "coordinator/datasets/base_version.h"
#include "coordinator/datasets/example_table.h"

namespace attune::datasets {

// The first example of an example's cluster of near-duplicates, by number: at most the example's
// own number, which it is where there is no earlier one.
using RepresentativeOf = std::function<uint32_t(uint32_t number)>;

struct SplitFacts {
  const ExampleTable* examples = nullptr;         // the base version's first
  const BaseVersion* base = nullptr;              // null: there is none
  const std::vector<bool>* unlabelled = nullptr;  // of those after the base version's
  double validation_fraction = 0;
  RepresentativeOf representative;        // null: each is its own
  CancelCheck cancelled = CancelCheck();  // asked now and then by Make
};

class SplitDecision {
 public:
  // The facts outlive the decision; the only error is kCancelled. When no example would be on the
  // side of validation although the fraction is above zero, the new cluster whose representative is
  // nearest to the border (the lowest id) is moved there, unless train would be left without any.
  static Result<SplitDecision> Make(SplitFacts facts);

  // One of kSplits.
  std::string_view Of(uint32_t number) const;
  // How many of those after the base version's are on which side.
  const SplitCounts& counts() const { return counts_; }

 private:
  explicit SplitDecision(SplitFacts facts) : facts_(std::move(facts)) {}
  uint32_t base_size() const { return facts_.base == nullptr ? 0 : facts_.base->size(); }
  bool IsUnlabelled(uint32_t number) const { return (*facts_.unlabelled)[number - base_size()]; }
  uint32_t Representative(uint32_t number) const {
    return facts_.representative ? facts_.representative(number) : number;
  }
  Status Count();
  bool BaseHas(std::string_view split) const;
  Status MoveNearest();

  SplitFacts facts_;
  std::optional<uint32_t> moved_;  // the representative of what goes to validation all the same
  SplitCounts counts_{};
};

}  // namespace attune::datasets
