#pragma once

// Memory of the process: large tensors outside of the heap, and the heap's own free pages.

#include <ATen/core/Tensor.h>

#include <filesystem>

#include "common/base/status.h"

namespace attune::engine {

// Zeros of that shape on the device and of the type of `like`. On the CPU they have pages of their
// own: none is resident before it is written, they leave no hole in the heap, and freeing gives
// them back at once.
at::Tensor ZeroPages(at::IntArrayRef shape, const at::Tensor& like);

// Zeros on the CPU in a file of that folder that has no name: memory that the system can have back
// by writing it out. kResourceExhausted where the disk has no room.
Result<at::Tensor> FilePages(at::IntArrayRef shape, at::ScalarType type,
                             const std::filesystem::path& folder);

// Gives pages that the heap holds free back to the system, so that a peak that has passed does not
// add to the next.
void ReturnFreedMemory();

}  // namespace attune::engine
