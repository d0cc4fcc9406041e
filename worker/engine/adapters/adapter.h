#pragma once

// Adapters of a model: what it has beside the base, or in place of some of it. The base stays as it
// is, so that a model can be seen with any of its adapters or none.

#include <map>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/model/adapter_config.h"
#include "worker/engine/adapters/named_tensors.h"

namespace attune::engine {

class Adapter {
 public:
  Adapter() = default;
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;
  virtual ~Adapter() = default;

  // Whether the model is seen with it.
  virtual void See(bool seen) = 0;
  // Training goes on from it. kInvalidArgument with the field method unless it is what a job asks
  // for.
  virtual Status Continue(const AdapterConfig& asked) = 0;
  // Its parameters are others than in the forward before.
  virtual void ParametersChanged() {}

  // All of it, under the names in its file.
  virtual NamedTensors Parameters() const = 0;
  // In place of its own tensors the base's.
  virtual void ShowBase(NamedTensors*) const {}
  virtual AdapterConfig config() const = 0;
  // The share of its inputs that training drops.
  virtual double dropout() const { return 0; }
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
