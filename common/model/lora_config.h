#pragma once

// What a LoRA adapter is made of: which modules it changes, with what rank and scale, and
// adapter_config.json as peft writes and reads it.

#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune {

struct LoraConfig {
  int rank = 16;
  double alpha = 32;
  double dropout = 0;
  bool rank_stabilized = false;  // peft's use_rslora: alpha / sqrt(rank)
  std::vector<std::string>
      modules;  // full names ("model.layers.0.self_attn.q_proj"), in the model's order

  double scale() const;
};

// config with the modules that the targets name, out of every linear layer of the model that can
// have an adapter. Targets are "all-linear", "attention", "mlp", a name ("q_proj") or any longer
// ending ("layers.3.mlp.up_proj"). kInvalidArgument with the nearest names for one that matches
// nothing.
Result<LoraConfig> WithModules(LoraConfig config, const std::vector<std::string>& targets,
                               const std::vector<std::string>& modules);

// adapter_config.json of peft; `where` is the file, for messages. kInvalidArgument for what is not
// supported (DoRA, per-module ranks, trained biases, saved modules, a start that changes the base's
// weights, other kinds of adapter).
Result<LoraConfig> ParseAdapterConfig(const std::string& json,
                                      const std::vector<std::string>& modules,
                                      const std::string& where);

// modules and transposed: the model's linear layers, and whether their weights are stored [in,
// out]. base: what peft calls base_model_name_or_path, a folder or a name on the Hub.
std::string AdapterConfigJson(const LoraConfig& config, const std::vector<std::string>& modules,
                              bool transposed, const std::string& base);

// "base_model.model.<module>.lora_A.weight"
std::string LoraTensorName(const std::string& module, char matrix);

}  // namespace attune
