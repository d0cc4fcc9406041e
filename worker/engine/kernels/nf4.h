#pragma once

// Weights in 4 bits: NormalFloat with double quantisation (Dettmers et al. 2023, "QLoRA"), number
// for number as bitsandbytes has them (quantize_4bit with quant_type "nf4" and
// compress_statistics).
//
// A block of 64 numbers, in row-major order, is codes of 4 bits times the largest magnitude of the
// block. The magnitudes of a tensor, less their mean, are codes of 8 bits in blocks of 256 times
// the largest of those. 4.127 bits a number.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace attune::engine::kernels {

struct Nf4 {
  std::vector<int64_t> shape;
  at::Tensor codes;       // uint8 [ceil(numbers / 2)], the first of two in the high bits
  at::Tensor magnitudes;  // uint8 [ceil(numbers / 64)]
  at::Tensor scales;      // float32 [ceil(blocks / 256)], of magnitudes
  double mean = 0;        // what was taken off the magnitudes
  bool defined() const { return codes.defined(); }
};

// Of a floating tensor, on its device.
Nf4 QuantizeNf4(const at::Tensor& weight);
// Into a contiguous tensor of the shape, of any floating type.
void DequantizeNf4(const Nf4& weight, const at::Tensor& out);

}  // namespace attune::engine::kernels
