#pragma once

// LoRA: what a model's projections add, and what its parts have in place of tensors of the base.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/adapters/adapter.h"
#include "worker/engine/adapters/projection.h"
#include "worker/engine/adapters/slot.h"

namespace attune::engine {

class LoraAdapter final : public Adapter {
 public:
  // A and B uninitialised; the tensors of its own as the base has them. Projections and slots are
  // those of the whole model, seen without an adapter, and outlive it. kInvalidArgument when a
  // tensor of its own has no slot, or is kept in 4 bits.
  static Result<std::unique_ptr<LoraAdapter>> Make(LoraConfig config,
                                                   const std::vector<Projection*>& projections,
                                                   const Slots& slots);

  // As new: A by Kaiming uniform, as peft has it, B zero, magnitudes those of the base.
  void Start(uint64_t seed);

  void See(bool seen) override;
  // Its dropout may be another.
  Status Continue(const AdapterConfig& asked) override;
  void ParametersChanged() override;
  NamedTensors Parameters() const override;
  void ShowBase(NamedTensors* named) const override;
  AdapterConfig config() const override { return config_; }
  double dropout() const override { return config_.dropout; }

 private:
  struct Own {
    std::string name;  // in checkpoints
    at::Tensor* place;
    at::Tensor base, own;  // what is there without and with the adapter
  };

  explicit LoraAdapter(LoraConfig config) : config_(std::move(config)) {}
  Status TakeSlot(const Slot& slot);

  LoraConfig config_;
  std::vector<std::pair<Projection*, std::shared_ptr<LowRank>>> low_ranks_;
  std::vector<Own> owns_;
};

}  // namespace attune::engine
