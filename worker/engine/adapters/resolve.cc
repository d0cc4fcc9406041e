#include "worker/engine/adapters/resolve.h"

namespace attune::engine {

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

}  // namespace attune::engine
