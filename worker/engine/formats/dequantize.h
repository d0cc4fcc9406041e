#pragma once

// GGUF's quantised blocks to float32, bit for bit as gguf-py's quants.dequantize
// (ggml-org/llama.cpp, gguf-py/gguf/quants.py). The block layouts are those of ggml-common.h.

#include <cstddef>
#include <span>

#include "common/base/status.h"
#include "common/gguf/types.h"

namespace attune::engine {

// F32, F16, BF16, F64, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K; kInvalidArgument
// for another type. bytes hold out.size() elements, a whole number of blocks.
Status Dequantize(const gguf::ElementType& type, std::span<const std::byte> bytes,
                  std::span<float> out);

}  // namespace attune::engine
