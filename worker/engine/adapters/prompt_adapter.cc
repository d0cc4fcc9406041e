#include "worker/engine/adapters/prompt_adapter.h"

#include <ATen/ATen.h>

namespace attune::engine {

PromptAdapter::PromptAdapter(const PromptConfig& config, int64_t hidden_size, at::Device device,
                             at::Tensor* place)
    : config_(config),
      rows_(at::empty({config.virtual_tokens, hidden_size},
                      at::TensorOptions(at::kFloat).device(device))
                .requires_grad_(true)),
      place_(place) {}

void PromptAdapter::Start(const at::Tensor& rows) {
  at::NoGradGuard no_grad;
  rows_.copy_(rows);
}

Status PromptAdapter::Continue(const AdapterConfig& asked) {
  const PromptConfig* prompt = std::get_if<PromptConfig>(&asked);
  if (prompt != nullptr && prompt->virtual_tokens == config_.virtual_tokens) return Status();
  const std::string tokens = std::to_string(config_.virtual_tokens);
  return InvalidArgument(
             "the base model already has a prompt of " + tokens +
             " virtual tokens; ask for {type: prompt-tuning, virtual_tokens: " + tokens +
             "} to go on training it, or start from the model that it is a prompt of")
      .WithField("method");
}

}  // namespace attune::engine
