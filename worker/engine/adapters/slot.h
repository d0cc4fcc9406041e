#pragma once

// Where the parts of a model keep a tensor of the base, so that an adapter can put its own there.

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace attune::engine {

struct Slot {
  std::string name;   // in checkpoints: "model.embed_tokens.weight"
  at::Tensor* place;  // the part reads it there; may be undefined, where what is seen without an
                      // adapter lies elsewhere
  at::Tensor value;   // of the base
};
using Slots = std::vector<Slot>;

}  // namespace attune::engine
