#pragma once

// Adapters of a model: what its projections add, and what its parts have in place of tensors of the
// base. The base stays as it is, so that a model can be seen with any of its adapters or none.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/model/lora_config.h"
#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/adapters/projection.h"
#include "worker/engine/adapters/slot.h"

namespace attune::engine {

class Adapter {
 public:
  // A and B uninitialised; the tensors of its own as the base has them. Projections and slots are
  // those of the whole model, seen without an adapter, and outlive it. kInvalidArgument when a
  // tensor of its own has no slot, or is kept in 4 bits.
  static Result<std::unique_ptr<Adapter>> Make(LoraConfig config,
                                               const std::vector<Projection*>& projections,
                                               const Slots& slots);

  // As new: A by Kaiming uniform, as peft has it, B zero, magnitudes those of the base.
  void Start(uint64_t seed);
  // Whether the model is seen with it.
  void See(bool seen);
  void SetDropout(double dropout);
  // Its parameters are others than in the forward before.
  void ParametersChanged();

  // All of it, under the names in its file.
  NamedTensors Parameters() const;
  // In place of its own tensors the base's.
  void ShowBase(NamedTensors* named) const;
  const LoraConfig& config() const { return config_; }

 private:
  struct Own {
    std::string name;  // in checkpoints
    at::Tensor* place;
    at::Tensor base, own;  // what is there without and with the adapter
  };

  explicit Adapter(LoraConfig config) : config_(std::move(config)) {}
  Status TakeSlot(const Slot& slot);

  LoraConfig config_;
  std::vector<std::pair<Projection*, std::shared_ptr<LowRank>>> low_ranks_;
  std::vector<Own> owns_;
};

// Those of one model, by name; at most one is seen.
class AdapterSet {
 public:
  bool empty() const { return adapters_.empty(); }
  // It is chosen, but not yet seen. Another of that name is replaced.
  void Add(const std::string& name, std::unique_ptr<Adapter> adapter);
  // The one of this name is seen from now on; "": none. kNotFound names those that there are.
  Status Use(const std::string& name);
  // The chosen one, or none.
  void Enable(bool enabled);

  // The one that is seen; null: none.
  const Adapter* seen() const { return seen_; }
  // The one that was added or used last; null where there is none.
  Adapter* chosen() const { return chosen_; }

 private:
  void See(Adapter* adapter);

  std::map<std::string, std::unique_ptr<Adapter>> adapters_;
  Adapter* seen_ = nullptr;
  Adapter* chosen_ = nullptr;
};

}  // namespace attune::engine
