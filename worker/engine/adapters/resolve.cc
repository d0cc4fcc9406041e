#include "worker/engine/adapters/resolve.h"

namespace attune::engine {

Result<LoraConfig> ResolveLora(const Method& method, const std::vector<std::string>& modules) {
  return WithModules({.rank = method.rank,
                      .alpha = method.alpha,
                      .dropout = method.dropout,
                      .rank_stabilized = method.rank_stabilized},
                     method.target_modules, modules);
}

}  // namespace attune::engine
