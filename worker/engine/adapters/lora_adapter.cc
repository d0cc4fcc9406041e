#include "worker/engine/adapters/lora_adapter.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>

namespace attune::engine {
namespace {

// But for the dropout.
bool IsSame(const LoraConfig& a, const LoraConfig& b) {
  return a.rank == b.rank && a.alpha == b.alpha && a.rank_stabilized == b.rank_stabilized &&
         a.dora == b.dora && a.own == b.own &&
         std::ranges::equal(a.modules, b.modules, {}, &LoraModule::name, &LoraModule::name);
}

std::string Described(const LoraConfig& lora) {
  return "a LoRA adapter of rank " + std::to_string(lora.rank) +
         (lora.rank_stabilized ? " (rank_stabilized)" : "") + (lora.dora ? " (dora)" : "") +
         " and alpha " + std::to_string(lora.alpha) + " on " + std::to_string(lora.modules.size()) +
         " modules" +
         (lora.own.empty() ? ""
                           : ", with " + std::to_string(lora.own.size()) +
                                 " tensors of its own (modules_to_save, bias)");
}

}  // namespace

Result<std::unique_ptr<LoraAdapter>> LoraAdapter::Make(LoraConfig config,
                                                       const std::vector<Projection*>& projections,
                                                       const Slots& slots) {
  std::unique_ptr<LoraAdapter> adapter(new LoraAdapter(std::move(config)));
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

Status LoraAdapter::TakeSlot(const Slot& slot) {
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

void LoraAdapter::Start(uint64_t seed) {
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

void LoraAdapter::See(bool seen) {
  for (const auto& [projection, low_rank] : low_ranks_) {
    projection->See(seen ? low_rank : nullptr);
  }
  for (const Own& own : owns_) *own.place = seen ? own.own : own.base;
}

Status LoraAdapter::Continue(const AdapterConfig& asked) {
  const LoraConfig* lora = std::get_if<LoraConfig>(&asked);
  if (lora != nullptr && IsSame(*lora, config_)) {
    config_.dropout = lora->dropout;
    for (const auto& [projection, low_rank] : low_ranks_) low_rank->SetDropout(lora->dropout);
    return Status();
  }
  return InvalidArgument("the base model already has " + Described(config_) +
                         "; ask for the same to go on training it, or export the model merged and "
                         "start from that")
      .WithField("method");
}

void LoraAdapter::ParametersChanged() {
  for (const auto& [projection, low_rank] : low_ranks_) low_rank->Forget();
}

NamedTensors LoraAdapter::Parameters() const {
  NamedTensors named;
  for (const auto& [projection, low_rank] : low_ranks_) low_rank->AppendTo(&named);
  for (const Own& own : owns_) named.emplace_back(OwnTensorName(config_, own.name), own.own);
  return named;
}

void LoraAdapter::ShowBase(NamedTensors* named) const {
  for (auto& [name, tensor] : *named) {
    const auto own = std::ranges::find(owns_, name, &Own::name);
    if (own != owns_.end() && own->base.defined()) tensor = own->base;
  }
}

}  // namespace attune::engine
