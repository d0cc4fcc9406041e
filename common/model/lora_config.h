#pragma once

// What a LoRA adapter is made of: which modules it changes, with what rank and scale, and
// adapter_config.json as peft writes and reads it.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/model_config.h"

namespace attune {

// A linear layer that has A and B.
struct LoraModule {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int rank = 0;
  double alpha = 0;
};

struct LoraConfig {
  int rank = 16;
  double alpha = 32;
  double dropout = 0;
  bool rank_stabilized = false;  // peft's use_rslora: alpha / sqrt(rank)
  // Names or endings of modules that train as a whole, as the job spec or the file has them.
  std::vector<std::string> modules_to_save;
  std::vector<int64_t> layers;  // that have A and B; none: all
  // Which biases of the base train: "none"; "lora_only": those of its modules; "all".
  std::string bias = "none";
  bool lora_bias = false;  // B has a bias
  bool dora = false;       // peft's use_dora: a trained magnitude of each output (Liu et al. 2024)

  // What these are in the model, in its order: the modules, and the tensors of the base in whose
  // place the adapter has its own ("model.embed_tokens.weight").
  std::vector<LoraModule> modules;
  std::vector<std::string> own;

  double scale(const LoraModule& module) const;
};

// config with what it and the targets name in the model. Targets are "all-linear", "attention",
// "mlp", a name ("q_proj") or any longer ending ("layers.3.mlp.up_proj"). kInvalidArgument with the
// nearest names for one that matches nothing.
Result<LoraConfig> WithModules(LoraConfig config, const std::vector<std::string>& targets,
                               const ModelConfig& model);

// adapter_config.json of peft; `where` is the file, for messages. kInvalidArgument for what is not
// supported (a start that changes the base's weights, adapted embeddings, other kinds of adapter).
Result<LoraConfig> ParseLoraConfig(const std::string& json, const ModelConfig& model,
                                   const std::string& where);

// base: what peft calls base_model_name_or_path, a folder or a name on the Hub.
std::string LoraConfigJson(const LoraConfig& config, const ModelConfig& model,
                           const std::string& base);

inline constexpr char kMagnitude[] = "lora_magnitude_vector";

// What an adapter's file calls a module's tensor: "base_model.model.<module>.lora_A.weight".
std::string LoraTensorName(const std::string& module, const std::string& tensor);
// What it calls one of config.own.
std::string OwnTensorName(const LoraConfig& config, const std::string& tensor);

}  // namespace attune
