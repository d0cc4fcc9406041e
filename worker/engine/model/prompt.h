#pragma once

// A prompt's rows before each example of a packed batch. offsets are those of the batch, without
// it.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace attune::engine {

// Where examples begin, and the last ends, when each has so many rows before it.
std::vector<int64_t> OffsetsBehindPrompt(std::vector<int64_t> offsets, int64_t prompt_rows);

// prompt [P, ...] before the rows [T, ...] of each example -> [E * P + T, ...], in the type of the
// rows. Differentiable: the prompt's gradient is summed over the examples in its own type.
at::Tensor BehindPrompt(const at::Tensor& prompt, const at::Tensor& rows,
                        const std::vector<int64_t>& offsets);

// Of x, as BehindPrompt gives it, the examples' own rows [T, ...]; differentiable.
at::Tensor WithoutPrompt(const at::Tensor& x, int64_t prompt_rows,
                         const std::vector<int64_t>& offsets);

}  // namespace attune::engine
