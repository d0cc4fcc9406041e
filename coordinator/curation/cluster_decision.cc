#include "coordinator/curation/cluster_decision.h"

#include <algorithm>

namespace attune::curation {
namespace {

// The most similar of the others, if it is similar enough.
std::optional<Loss> Nearest(const ClusterFacts& facts, uint32_t example,
                            const std::vector<uint32_t>& others, bool near_validation) {
  std::optional<Loss> nearest;
  for (uint32_t other : others) {
    const double similarity = facts.similarity(example, other);
    if (similarity < facts.accepted) continue;
    const Loss loss{near_validation, other, static_cast<float>(similarity)};
    if (!nearest || loss.similarity > nearest->similarity) nearest = loss;
  }
  return nearest;
}

void AddCompared(uint32_t example, std::vector<uint32_t>* examples) {
  if (examples->size() < kComparedMax) examples->push_back(example);
}

}  // namespace

Result<ClusterDecision> ClusterDecision::Make(ClusterFacts facts) {
  ClusterDecision decision;
  decision.first_ = std::move(facts.first);
  ATTUNE_RETURN_IF_ERROR(decision.FindClusters(facts));
  ATTUNE_RETURN_IF_ERROR(decision.FindMembers(facts));
  ATTUNE_RETURN_IF_ERROR(decision.FindLosses(facts));
  return decision;
}

// Of two present labelled examples or more.
Status ClusterDecision::FindClusters(ClusterFacts& facts) {
  std::vector<uint32_t> sizes(first_.size(), 0);
  uint64_t examples = 0;
  for (uint32_t i = 0; i < first_.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(facts.cancelled.Step());
    if (!facts.present(i) || facts.side(i) == Side::kUnlabelled) continue;
    ++sizes[first_[i]];
    ++examples;
  }
  const auto most = std::max<uint64_t>(
      kTemplateExamplesMin, static_cast<uint64_t>(kTemplatePart * static_cast<double>(examples)));
  for (uint32_t i = 0; i < first_.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(facts.cancelled.Step());
    // A new example may be alone beside one that only the base version has.
    if (first_[i] == i && sizes[i] < 2) continue;
    if (sizes[first_[i]] < 1) continue;
    Cluster& cluster = clusters_[first_[i]];
    if (sizes[first_[i]] <= most) continue;
    cluster.is_template = true;
    if (first_[i] == i) of_templates_ += sizes[i];
  }
  return Status();
}

Status ClusterDecision::FindMembers(ClusterFacts& facts) {
  for (uint32_t i = 0; i < facts.base; ++i) {
    ATTUNE_RETURN_IF_ERROR(facts.cancelled.Step());
    const auto found = clusters_.find(first_[i]);
    if (found == clusters_.end()) continue;
    Cluster& cluster = found->second;
    const Side side = facts.side(i);
    if (side == Side::kTrain && !cluster.train) cluster.train = i;
    if (side != Side::kValidation) continue;
    if (!cluster.validation) cluster.validation = i;
    if (facts.present(i)) AddCompared(i, &cluster.validations);
  }
  // New ones go to validation with the older one there, and are as much a copy of what is on train.
  for (uint32_t i = facts.base; i < first_.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(facts.cancelled.Step());
    const auto found = clusters_.find(first_[i]);
    if (found == clusters_.end() || !found->second.validation || found->second.is_template)
      continue;
    if (facts.side(i) == Side::kUndecided) AddCompared(i, &found->second.validations);
  }
  return Status();
}

std::optional<Loss> ClusterDecision::Judge(const ClusterFacts& facts, uint32_t example,
                                           const Cluster& cluster) const {
  const bool in_base = example < facts.base;
  if (in_base && facts.side(example) == Side::kTrain && !cluster.is_template) {
    if (auto loss = Nearest(facts, example, cluster.validations, /*near_validation=*/true)) {
      return loss;
    }
  }
  if (!facts.remove || (in_base && facts.base_stays)) return std::nullopt;
  return Nearest(facts, example, cluster.kept, /*near_validation=*/false);
}

Status ClusterDecision::FindLosses(ClusterFacts& facts) {
  for (uint32_t i = 0; i < first_.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(facts.cancelled.Step());
    const auto found = clusters_.find(first_[i]);
    if (found == clusters_.end()) continue;
    if (!facts.present(i) || facts.side(i) == Side::kUnlabelled) continue;
    Cluster& cluster = found->second;
    if (auto loss = Judge(facts, i, cluster)) {
      losses_.emplace(i, *loss);
      continue;
    }
    AddCompared(i, &cluster.kept);
    if (++cluster.staying > 1) ++joined_;
  }
  return Status();
}

uint32_t ClusterDecision::Representative(uint32_t example) const {
  const auto found = clusters_.find(first_[example]);
  if (found == clusters_.end()) return example;
  const Cluster& cluster = found->second;
  if (cluster.is_template) return example;
  if (cluster.validation) return std::min(*cluster.validation, example);
  return std::min(cluster.train.value_or(first_[example]), example);
}

std::optional<Loss> ClusterDecision::LossOf(uint32_t example) const {
  const auto found = losses_.find(example);
  return found == losses_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace attune::curation
