#pragma once

// A prompt that is tuned: rows that a model puts before each example (model/prompt.h).

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "common/base/status.h"
#include "worker/engine/adapters/adapter.h"

namespace attune::engine {

class PromptAdapter final : public Adapter {
 public:
  // Rows uninitialised. place: where the model reads them, which is undefined where it is seen
  // without them; it outlives the adapter.
  PromptAdapter(const PromptConfig& config, int64_t hidden_size, at::Device device,
                at::Tensor* place);

  // The rows as these are, [virtual_tokens, hidden].
  void Start(const at::Tensor& rows);

  void See(bool seen) override { *place_ = seen ? rows_ : at::Tensor(); }
  Status Continue(const AdapterConfig& asked) override;
  NamedTensors Parameters() const override { return {{kPromptTensor, rows_}}; }
  AdapterConfig config() const override { return config_; }

 private:
  const PromptConfig config_;
  at::Tensor rows_;  // float32 [virtual_tokens, hidden]
  at::Tensor* const place_;
};

}  // namespace attune::engine
