#pragma once

// GGUF's quantised blocks to float32, bit for bit as gguf-py's quants.dequantize
// (ggml-org/llama.cpp, gguf-py/gguf/quants.py). The block layouts are those of ggml-common.h.

#include <cstddef>
#include <span>

#include "common/base/status.h"
#include "common/gguf/types.h"

namespace attune::engine {

// Types whose `weights` is true; kInvalidArgument for another. bytes hold out.size() elements, a
// whole number of blocks.
Status Dequantize(const gguf::ElementType& type, std::span<const std::byte> bytes,
                  std::span<float> out);

}  // namespace attune::engine
