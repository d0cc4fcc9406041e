#include "worker/engine/adapters/adapter.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>

namespace attune::engine {

Result<std::unique_ptr<Adapter>> Adapter::Make(LoraConfig config,
                                               const std::vector<Projection*>& projections,
                                               const Slots& slots) {
  std::unique_ptr<Adapter> adapter(new Adapter(std::move(config)));
  for (Projection* projection : projections) {
    auto low_rank = projection->MakeLowRank(adapter->config_);
    if (low_rank != nullptr) adapter->low_ranks_.emplace_back(projection, std::move(low_rank));
  }
  for (const std::string& name : adapter->config_.own) {
    const auto slot = std::ranges::find(slots, name, &Slot::name);
    if (slot == slots.end()) {
      return InvalidArgument("modules_to_save: " + name + " takes no part in what the model makes")
          .WithField("method.modules_to_save");
    }
    ATTUNE_RETURN_IF_ERROR(adapter->TakeSlot(*slot));
  }
  return adapter;
}

Status Adapter::TakeSlot(const Slot& slot) {
  if (!slot.value.defined()) {
    return InvalidArgument("modules_to_save: " + slot.name +
                           " is kept in 4 bits, which cannot train: use method.type lora, or leave "
                           "the linear layers of the blocks to A and B")
        .WithField("method.modules_to_save");
  }
  const at::Tensor own = slot.value.detach().to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  owns_.push_back({slot.name, slot.place, *slot.place, own.contiguous().requires_grad_(true)});
  return Status();
}

void Adapter::Start(uint64_t seed) {
  at::NoGradGuard no_grad;
  at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  for (const auto& [projection, low_rank] : low_ranks_) {
    for (const LowRank::Pair& pair : low_rank->pairs()) {
      // kaiming_uniform_(a = sqrt(5)): the bound is 1 / sqrt(inputs).
      const double bound = 1 / std::sqrt(static_cast<double>(pair.a.size(1)));
      pair.a.copy_(at::empty(pair.a.sizes(), at::kFloat).uniform_(-bound, bound, generator));
      pair.b.zero_();
      if (pair.bias.defined()) pair.bias.zero_();
    }
    projection->StartMagnitudes(*low_rank);
  }
}

void Adapter::See(bool seen) {
  for (const auto& [projection, low_rank] : low_ranks_) {
    projection->See(seen ? low_rank : nullptr);
  }
  for (const Own& own : owns_) *own.place = seen ? own.own : own.base;
}

void Adapter::SetDropout(double dropout) {
  config_.dropout = dropout;
  for (const auto& [projection, low_rank] : low_ranks_) low_rank->SetDropout(dropout);
}

void Adapter::ParametersChanged() {
  for (const auto& [projection, low_rank] : low_ranks_) low_rank->Forget();
}

NamedTensors Adapter::Parameters() const {
  NamedTensors named;
  for (const auto& [projection, low_rank] : low_ranks_) low_rank->AppendTo(&named);
  for (const Own& own : owns_) named.emplace_back(OwnTensorName(config_, own.name), own.own);
  return named;
}

void Adapter::ShowBase(NamedTensors* named) const {
  for (auto& [name, tensor] : *named) {
    const auto own = std::ranges::find(owns_, name, &Own::name);
    if (own != owns_.end() && own->base.defined()) tensor = own->base;
  }
}

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
