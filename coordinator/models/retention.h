#pragma once

// Which versions' files a model may lose. A pure function of what is recorded; Registry::Prune
// gathers, commits and removes.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "attune/v1/models.pb.h"

namespace attune::models {

struct RetentionFacts {
  std::vector<v1::ModelVersion> versions;  // of all models
  struct Pointer {
    std::string model, alias;
    uint32_t version = 0;
    std::vector<uint32_t> way_back;  // the next one first
  };
  std::vector<Pointer> aliases;
  std::map<std::string, std::string> in_use;  // "name@version": by what ("job-1 is RUNNING")
};

struct RetentionRule {
  uint32_t keep = 1;  // the newest; at least 1, as "name" alone means the newest
  // Of each way back only so many steps are kept; unset: all. When set, a version is not kept for
  // having been where a kept one's training began, either: a chain of champions, each trained from
  // the one before, would keep all of them.
  std::optional<uint32_t> rollback_steps;
};

// The versions of model that have their files, newest first; kept_for is empty for those that go,
// else has every reason. An adapter's base is kept in any case, through any number of bases.
std::vector<v1::PruneModelsResponse::Item> PlanPrune(const std::string& model,
                                                     const RetentionRule& rule,
                                                     const RetentionFacts& facts);

}  // namespace attune::models
