#include "worker/engine/adapters/resolve.h"

namespace attune::engine {

Result<PromptConfig> ResolvePrompt(const Method& method, const ModelConfig& model) {
  const PromptConfig config{method.virtual_tokens};
  ATTUNE_RETURN_IF_ERROR(CheckPrompt(config, model));
  return config;
}

Result<LoraConfig> ResolveLora(const Method& method, const ModelConfig& model) {
  return WithModules({.rank = method.rank,
                      .alpha = method.alpha,
                      .dropout = method.dropout,
                      .rank_stabilized = method.rank_stabilized,
                      .modules_to_save = method.modules_to_save,
                      .layers = {method.layers.begin(), method.layers.end()},
                      .bias = method.bias,
                      .dora = method.dora},
                     method.target_modules, model);
}

Result<AdapterConfig> ResolveAdapter(const Method& method, const ModelConfig& model) {
  if (TunesPrompt(method)) {
    ATTUNE_ASSIGN_OR_RETURN(const PromptConfig prompt, ResolvePrompt(method, model));
    return AdapterConfig(prompt);
  }
  ATTUNE_ASSIGN_OR_RETURN(LoraConfig lora, ResolveLora(method, model));
  return AdapterConfig(std::move(lora));
}

}  // namespace attune::engine
