#include "worker/engine/adapters/adapter.h"

#include <utility>

namespace attune::engine {

void AdapterSet::Add(const std::string& name, std::unique_ptr<Adapter> adapter) {
  See(nullptr);
  chosen_ = adapter.get();
  adapters_[name] = std::move(adapter);
}

Status AdapterSet::Use(const std::string& name) {
  if (name.empty()) {
    See(nullptr);
    return Status();
  }
  const auto found = adapters_.find(name);
  if (found == adapters_.end()) {
    std::string names;
    for (const auto& [known, adapter] : adapters_) names += (names.empty() ? "" : ", ") + known;
    return NotFound("the model has no adapter '" + name +
                    "'; it has: " + (names.empty() ? "none" : names));
  }
  chosen_ = found->second.get();
  See(chosen_);
  return Status();
}

void AdapterSet::Enable(bool enabled) {
  See(enabled ? chosen_ : nullptr);
}

void AdapterSet::See(Adapter* adapter) {
  if (seen_ == adapter) return;
  if (seen_ != nullptr) seen_->See(false);
  if (adapter != nullptr) adapter->See(true);
  seen_ = adapter;
}

}  // namespace attune::engine
