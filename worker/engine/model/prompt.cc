#include "worker/engine/model/prompt.h"

#include <ATen/ATen.h>

namespace attune::engine {

std::vector<int64_t> OffsetsBehindPrompt(std::vector<int64_t> offsets, int64_t prompt_rows) {
  for (size_t e = 0; e < offsets.size(); ++e) offsets[e] += static_cast<int64_t>(e) * prompt_rows;
  return offsets;
}

at::Tensor BehindPrompt(const at::Tensor& prompt, const at::Tensor& rows,
                        const std::vector<int64_t>& offsets) {
  const size_t examples = offsets.size() - 1;
  std::vector<int64_t> sizes = prompt.sizes().vec();
  sizes.insert(sizes.begin(), static_cast<int64_t>(examples));
  // A copy for each example before the type changes: what they give back is added up after it.
  const std::vector<at::Tensor> prompts = prompt.expand(sizes).to(rows.scalar_type()).unbind(0);
  std::vector<at::Tensor> pieces;
  for (size_t e = 0; e < examples; ++e) {
    pieces.push_back(prompts[e]);
    pieces.push_back(rows.narrow(0, offsets[e], offsets[e + 1] - offsets[e]));
  }
  return at::cat(pieces);
}

at::Tensor WithoutPrompt(const at::Tensor& x, int64_t prompt_rows,
                         const std::vector<int64_t>& offsets) {
  std::vector<int64_t> sizes;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    sizes.insert(sizes.end(), {prompt_rows, offsets[e + 1] - offsets[e]});
  }
  const std::vector<at::Tensor> pieces = x.split_with_sizes(sizes);
  std::vector<at::Tensor> own;
  for (size_t i = 1; i < pieces.size(); i += 2) own.push_back(pieces[i]);
  return at::cat(own);
}

}  // namespace attune::engine
