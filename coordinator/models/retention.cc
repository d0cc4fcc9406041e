#include "coordinator/models/retention.h"

#include <algorithm>

#include "coordinator/versions/reference.h"

namespace attune::models {
namespace {

constexpr size_t kReasonsShown = 5;

using Reasons = std::map<std::string, std::vector<std::string>>;  // by "name@version"

std::string NameOf(const v1::ModelVersion& version) {
  return versions::FormatReference(version.name(), version.version());
}

void AddReason(Reasons* reasons, const std::string& version, std::string reason) {
  (*reasons)[version].push_back(std::move(reason));
}

std::string Joined(const std::vector<std::string>& reasons) {
  std::string text;
  for (size_t i = 0; i < reasons.size() && i < kReasonsShown; ++i) {
    text += (text.empty() ? "" : "; ") + reasons[i];
  }
  if (reasons.size() <= kReasonsShown) return text;
  return text + "; and " + std::to_string(reasons.size() - kReasonsShown) + " more";
}

// Reasons of a version's own, not because another needs it.
void AddOwnReasons(const RetentionRule& rule, const RetentionFacts& facts, Reasons* reasons) {
  for (const auto& pointer : facts.aliases) {
    const auto reference = [&](uint32_t version) {
      return versions::FormatReference(pointer.model, version);
    };
    AddReason(reasons, reference(pointer.version), "alias " + pointer.alias);
    size_t steps = pointer.way_back.size();
    if (rule.rollback_steps) steps = std::min<size_t>(steps, *rule.rollback_steps);
    for (size_t step = 0; step < steps; ++step) {
      const uint32_t version = pointer.way_back[step];
      const auto before = pointer.way_back.begin() + static_cast<ptrdiff_t>(step);
      if (std::find(pointer.way_back.begin(), before, version) != before) continue;
      AddReason(reasons, reference(version),
                "rollback " + std::to_string(step + 1) + " of " + pointer.alias);
    }
  }
  for (const auto& [version, by] : facts.in_use) AddReason(reasons, version, by);
}

}  // namespace

std::vector<v1::PruneModelsResponse::Item> PlanPrune(const std::string& model,
                                                     const RetentionRule& rule,
                                                     const RetentionFacts& facts) {
  std::vector<const v1::ModelVersion*> own, all;  // with files; own: newest first
  for (const v1::ModelVersion& version : facts.versions) {
    if (version.files_removed()) continue;
    all.push_back(&version);
    if (version.name() == model) own.push_back(&version);
  }
  std::sort(own.begin(), own.end(),
            [](const auto* a, const auto* b) { return a->version() > b->version(); });
  Reasons reasons;
  for (size_t i = 0; i < own.size() && i < rule.keep; ++i) {
    AddReason(&reasons, NameOf(*own[i]),
              rule.keep == 1 ? "the newest" : "among the newest " + std::to_string(rule.keep));
  }
  AddOwnReasons(rule, facts, &reasons);
  // A version that stays keeps what it needs, which may need another: until nothing is added. All
  // other models' versions stay.
  std::vector<const v1::ModelVersion*> open = all;
  for (bool added = true; added;) {
    added = false;
    for (const v1::ModelVersion*& version : open) {
      if (version == nullptr) continue;
      if (version->name() == model && reasons.count(NameOf(*version)) == 0) continue;
      const std::string name = NameOf(*version);
      const std::string& trained_from = version->lineage().base();
      if (!version->base().empty()) {
        AddReason(&reasons, version->base(), "base of the adapter " + name);
      }
      if (!trained_from.empty() && trained_from != version->base() && !rule.rollback_steps) {
        AddReason(&reasons, trained_from, name + " was trained from it");
      }
      version = nullptr;
      added = true;
    }
  }
  std::vector<v1::PruneModelsResponse::Item> items;
  for (const v1::ModelVersion* version : own) {
    v1::PruneModelsResponse::Item& item = items.emplace_back();
    item.set_model(NameOf(*version));
    item.set_bytes(version->bytes());
    item.set_kept_for(Joined(reasons[item.model()]));
  }
  return items;
}

}  // namespace attune::models
