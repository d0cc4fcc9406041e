#include "worker/engine/optim/optimizer.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

#include "worker/engine/kernels/cpu_kernels.h"
#include "worker/engine/optim/adafactor.h"
#include "worker/engine/optim/adamw.h"
#include "worker/engine/optim/adamw_8bit.h"
#include "worker/engine/optim/lion.h"
#include "worker/engine/optim/sgd.h"
#include "worker/engine/parallel/pages.h"

namespace attune::engine {

std::unique_ptr<Optimizer> MakeOptimizer(NamedTensors parameters, const OptimizerOptions& options) {
  for (const auto& [name, parameter] : parameters) {
    ATTUNE_CHECK(parameter.is_contiguous() && parameter.scalar_type() == at::kFloat);
  }
  if (options.name == "sgd") return std::make_unique<Sgd>(std::move(parameters), options);
  if (options.name == "lion") return std::make_unique<Lion>(std::move(parameters), options);
  if (options.name == "adafactor") {
    return std::make_unique<Adafactor>(std::move(parameters), options);
  }
  if (options.name == "adamw-8bit") {
    return std::make_unique<AdamW8Bit>(std::move(parameters), options);
  }
  ATTUNE_CHECK(options.name == "adamw");
  return std::make_unique<AdamW>(std::move(parameters), options);
}

bool Decays(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string_view parameter = lower;
  for (const std::string_view part : {"bias", "layernorm", "rmsnorm"}) {
    if (parameter.find(part) != std::string_view::npos) return false;
  }
  // A module named "norm" or "..._norm", or GPT-2's layer norms "ln_...".
  while (!parameter.empty()) {
    const std::string_view module = parameter.substr(0, parameter.find('.'));
    if (module == "norm" || module.ends_with("_norm") || module.starts_with("ln_")) return false;
    parameter.remove_prefix(std::min(module.size() + 1, parameter.size()));
  }
  return true;
}

double WeightDecayOf(std::string_view parameter, const OptimizerOptions& options) {
  return Decays(parameter) ? options.weight_decay : 0;
}

bool TakesOurLoops(const at::Tensor& parameter) {
  return parameter.is_cpu() && !kernels::UseAtenOnly();
}

at::Tensor GradientOf(const at::Tensor& parameter) {
  const at::Tensor& gradient = parameter.grad();
  return gradient.defined() ? gradient.contiguous() : at::zeros_like(parameter);
}

std::vector<at::Tensor> ZerosLike(const NamedTensors& parameters) {
  std::vector<at::Tensor> zeros;
  for (const auto& [name, parameter] : parameters) {
    zeros.push_back(ZeroPages(parameter.sizes(), parameter));
  }
  return zeros;
}

void AppendState(const char* kind, const NamedTensors& parameters,
                 const std::vector<at::Tensor>& values, NamedTensors& state) {
  for (size_t p = 0; p < values.size(); ++p) {
    state.emplace_back(std::string(kind) + "." + parameters[p].first, values[p]);
  }
}

}  // namespace attune::engine
