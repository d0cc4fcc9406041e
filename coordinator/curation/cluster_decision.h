#pragma once

// What follows from near-duplicates for the examples of a version in the making: which of them
// share a side of the split, which are left out. A pure function of its facts. Memory: 8 bytes an
// example, and 24 for each that has a near-duplicate.

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/base/cancel_check.h"
#include "common/base/status.h"

namespace attune::curation {

// A cluster of more than this part of all examples, and of more than so many, is no set of
// near-duplicates but of rows that one template made (a long prompt around a short question). Its
// examples are split each by itself, as else one side would have them all.
inline constexpr double kTemplatePart = 0.1;
inline constexpr uint64_t kTemplateExamplesMin = 100;
// So many members of a cluster are compared with each other; what is similar to none of them stays.
inline constexpr size_t kComparedMax = 64;

enum class Side { kTrain, kValidation, kUnlabelled, kUndecided };

struct ClusterFacts {
  std::vector<uint32_t> first;  // of each example the first of its cluster (NearDuplicates)
  uint32_t base = 0;  // examples below are those of the version that the new one begins with
  // All of them may be asked for any example.
  std::function<bool(uint32_t)> present;  // in the new version, if nothing is left out
  std::function<Side(uint32_t)> side;     // kUndecided of new ones that are not unlabelled
  std::function<double(uint32_t, uint32_t)> similarity;
  double accepted = 0;                    // similarity from which two are near-duplicates
  bool remove = false;                    // all but the first of near-duplicates are left out
  bool base_stays = false;                // but none of those of the base version
  CancelCheck cancelled = CancelCheck();  // asked now and then
};

struct Loss {
  bool near_validation;  // else it is a near-duplicate of one that stays
  uint32_t of;           // that example
  float similarity;
};

class ClusterDecision {
 public:
  // kCancelled; no other error.
  static Result<ClusterDecision> Make(ClusterFacts facts);

  // The example on whose side this one belongs, at most its own number: of its cluster the first
  // that validation has, else the first that train has, else the first. Of a template its own.
  uint32_t Representative(uint32_t example) const;
  // Why an example is left out, if it is. An example of the base version that is on train goes
  // where validation has a near-duplicate of it.
  std::optional<Loss> LossOf(uint32_t example) const;

  uint64_t losses() const { return losses_.size(); }
  // Examples, present and not lost, that have such a one before them in their cluster.
  uint64_t joined() const { return joined_; }
  // Examples of templates.
  uint64_t of_templates() const { return of_templates_; }

 private:
  struct Cluster {
    std::optional<uint32_t> validation, train;  // the first of the base version
    std::vector<uint32_t> validations;          // present ones that are there, or go there
    std::vector<uint32_t> kept;
    uint64_t staying = 0;
    bool is_template = false;
  };

  ClusterDecision() = default;
  Status FindClusters(ClusterFacts& facts);
  Status FindMembers(ClusterFacts& facts);
  Status FindLosses(ClusterFacts& facts);
  std::optional<Loss> Judge(const ClusterFacts& facts, uint32_t example,
                            const Cluster& cluster) const;

  std::vector<uint32_t> first_;
  std::unordered_map<uint32_t, Cluster> clusters_;  // of two and more, by their first
  std::unordered_map<uint32_t, Loss> losses_;
  uint64_t joined_ = 0, of_templates_ = 0;
};

}  // namespace attune::curation
