#pragma once

#include "common/base/status.h"
#include "common/model/lora_config.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// The adapter that a job's method asks for; see WithModules. No torch here.
Result<LoraConfig> ResolveLora(const Method& method, const ModelConfig& model);

}  // namespace attune::engine
