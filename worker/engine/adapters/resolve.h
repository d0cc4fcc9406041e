#pragma once

#include "common/base/status.h"
#include "common/model/adapter_config.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// What a job's method asks for. No torch here.

inline bool TunesPrompt(const Method& method) {
  return method.type == "prompt-tuning";
}
inline bool TrainsLora(const Method& method) {
  return TrainsAdapter(method) && !TunesPrompt(method);
}

// See CheckPrompt.
Result<PromptConfig> ResolvePrompt(const Method& method, const ModelConfig& model);
// See WithModules.
Result<LoraConfig> ResolveLora(const Method& method, const ModelConfig& model);
// Either, of a method that trains an adapter.
Result<AdapterConfig> ResolveAdapter(const Method& method, const ModelConfig& model);

}  // namespace attune::engine
