#pragma once

// Numbers in a few bits, block by block, as bitsandbytes keeps them: of each block the largest
// magnitude, of each number the nearest code of a map to the number divided by that.

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace attune::engine::kernels {

// Dettmers' dynamic data type of 8 bits (bitsandbytes' create_dynamic_map), ascending: powers of
// ten from 1e-6 to 1, and between two of them ever more steps; with signs or, from 0, without.
const std::array<float, 256>& DynamicMap(bool is_signed);

// Between which codes a number changes from one to the next: the middles of a map's neighbours.
at::Tensor CodeBounds(const at::Tensor& map);

struct Blockwise {
  at::Tensor codes;   // int32 [numbers]
  at::Tensor scales;  // float32 [blocks]: the largest magnitude of each
};

// Of a vector. The lower one of two codes that are as near. A last block may be shorter: it is as
// if zeros followed.
Blockwise Quantize(const at::Tensor& numbers, int64_t block, const at::Tensor& bounds);
// What the codes (of any integer type) stand for, as a vector.
at::Tensor Dequantize(const at::Tensor& codes, const at::Tensor& scales, int64_t block,
                      const at::Tensor& map);

}  // namespace attune::engine::kernels
