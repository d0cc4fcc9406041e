#pragma once

// Large tensors outside of the heap.

#include <ATen/core/Tensor.h>

namespace attune::engine {

// Zeros of that shape on the device and of the type of `like`. On the CPU they have pages of their
// own: none is resident before it is written, they leave no hole in the heap, and freeing gives
// them back at once.
at::Tensor ZeroPages(at::IntArrayRef shape, const at::Tensor& like);

}  // namespace attune::engine
