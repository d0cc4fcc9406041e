#include "coordinator/datasets/split_decision.h"

#include <algorithm>

#include "coordinator/datasets/row.h"

namespace attune::datasets {

Result<SplitDecision> SplitDecision::Make(SplitFacts facts) {
  SplitDecision decision(std::move(facts));
  ATTUNE_RETURN_IF_ERROR(decision.Count());
  const uint64_t validation = decision.counts_[1];
  if (decision.facts_.validation_fraction > 0 && validation == 0 &&
      !decision.BaseHas("validation")) {
    ATTUNE_RETURN_IF_ERROR(decision.MoveNearest());
  }
  return decision;
}

std::string_view SplitDecision::Of(uint32_t number) const {
  if (number < base_size()) return facts_.base->SplitOf(number);
  if (IsUnlabelled(number)) return "unlabelled";
  const uint32_t representative = Representative(number);
  if (representative < base_size()) {
    const std::string_view split = facts_.base->SplitOf(representative);
    if (split != "unlabelled") return split;
  }
  if (moved_ == representative) return "validation";
  return SplitOf(facts_.examples->id(representative), facts_.validation_fraction);
}

Status SplitDecision::Count() {
  counts_ = {};
  for (uint32_t number = base_size(); number < facts_.examples->size(); ++number) {
    ATTUNE_RETURN_IF_ERROR(facts_.cancelled.Step());
    const auto split = std::ranges::find(kSplits, Of(number));
    ++counts_[static_cast<size_t>(split - kSplits.begin())];
  }
  return Status();
}

bool SplitDecision::BaseHas(std::string_view split) const {
  return facts_.base != nullptr && facts_.base->Has(split);
}

Status SplitDecision::MoveNearest() {
  std::optional<uint32_t> nearest;
  for (uint32_t number = base_size(); number < facts_.examples->size(); ++number) {
    ATTUNE_RETURN_IF_ERROR(facts_.cancelled.Step());
    if (IsUnlabelled(number) || Representative(number) != number) continue;
    if (!nearest || facts_.examples->id(number) < facts_.examples->id(*nearest)) nearest = number;
  }
  if (!nearest) return Status();
  moved_ = nearest;
  ATTUNE_RETURN_IF_ERROR(Count());
  if (counts_[0] > 0 || BaseHas("train")) return Status();
  moved_.reset();
  return Count();
}

}  // namespace attune::datasets
