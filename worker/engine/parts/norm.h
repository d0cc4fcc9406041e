#pragma once

// Normalisation of rows, as a part of a model and for those that fuse it with what follows.

#include <ATen/core/Tensor.h>

#include <string>

#include "common/model/model_config.h"
#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/adapters/slot.h"

namespace attune::engine {

class Norm {
 public:
  struct Statistics {
    at::Tensor mean, rstd;  // float32 [T]; mean only of a layer norm
  };

  Norm() = default;
  // Uninitialised, float32, frozen.
  Norm(NormKind kind, double eps, int64_t size, std::string name, const at::Device& device);
  explicit operator bool() const { return weight_.defined(); }

  // x [T, size] in any floating type -> the same.
  at::Tensor Forward(const at::Tensor& x, Statistics* statistics = nullptr) const;
  // dx += the gradient by x. Appends the gradients of Trainable().
  void Backward(const at::Tensor& dy, const at::Tensor& x, const Statistics& statistics,
                const at::Tensor& dx, std::vector<at::Tensor>& gradients) const;

  void TrainBase(bool trains);
  std::vector<at::Tensor> Trainable() const;
  // Weight and bias under their names in the checkpoint.
  void AppendTo(NamedTensors* named) const;
  void AppendTo(Slots* slots);

 private:
  // What rows are multiplied by, without autograd.
  at::Tensor Factor() const;

  NormKind kind_ = NormKind::kRms;
  double eps_ = 0;
  std::string name_;
  at::Tensor weight_, bias_;
};

// norm(x), or residual + norm(x), as one node.
at::Tensor Normalize(const at::Tensor& x, const Norm& norm, const at::Tensor& residual = {});

}  // namespace attune::engine
