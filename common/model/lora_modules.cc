#include "common/model/lora_modules.h"

#include <re2/re2.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

namespace attune {
namespace {

constexpr size_t kPatternBytesMax = 4096;
constexpr char kTargetField[] = "method.target_modules";
constexpr char kSavedField[] = "method.modules_to_save";
// What peft takes for embeddings and heads that may be tied.
constexpr std::string_view kTiedNames[] = {"embed_tokens", "lm_head"};

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// "; did you mean q_proj? Names: ..."
std::string Suggestion(const std::string& wrong, const std::set<std::string>& names) {
  std::string message =
      "; did you mean " +
      *std::ranges::min_element(
          names, {}, [&](const std::string& name) { return EditDistance(name, wrong); }) +
      "? Names:";
  for (const std::string& name : names) message += " " + name;
  return message;
}

std::string ModuleOf(const std::string& tensor) {
  return tensor.substr(0, tensor.rfind('.'));
}

// Of all parameters, with those of a tied head.
std::vector<std::string> Tensors(const ModelConfig& model) {
  std::vector<std::string> names = TensorNames(model);
  if (model.tied_embeddings) names.push_back(model.names.head + ".weight");
  return names;
}

bool MatchesTarget(const LinearInfo& linear, const std::string& target) {
  if (target == kAllLinear) return true;
  if (target == "attention") return IsOfAttention(linear.kind);
  if (target == "mlp") return !IsOfAttention(linear.kind);
  return NamesModule(target, linear.name);
}

bool InLayers(const LoraNaming& naming, const LoraConfig& config, const std::string& module) {
  if (config.layers.empty()) return true;
  // As peft: a list that has the whole name needs no layer.
  if (std::ranges::find(naming.targets, module) != naming.targets.end()) return true;
  int64_t layer = -1;
  if (naming.layer_patterns.empty()) layer = LayerOf(module);
  for (const std::string& pattern : naming.layer_patterns) {
    const RE2 numbered("^(?:|.*?\\.)(?:" + pattern + ")\\.(\\d{1,9})\\.", RE2::Quiet);
    if (layer < 0 && numbered.ok()) RE2::PartialMatch(module, numbered, &layer);
  }
  return std::ranges::find(config.layers, layer) != config.layers.end();
}

bool IsExcluded(const LoraNaming& naming, const LoraConfig& config, const std::string& module) {
  if (naming.excluded_pattern && Matches(*naming.excluded_pattern, module)) return true;
  return IsSaved(config, module) ||
         std::ranges::any_of(naming.excluded, [&](const std::string& excluded) {
           return NamesModule(excluded, module);
         });
}

Status NoSuchTarget(const std::string& target, const std::vector<LinearInfo>& linears) {
  const std::string name = ShortName(target);
  if (std::ranges::find(kTiedNames, name) != std::end(kTiedNames)) {
    return InvalidArgument(name +
                           " cannot have A and B: only the linear layers of the blocks can "
                           "(all-linear, attention, mlp, or their names). Train it as a whole with "
                           "modules_to_save")
        .WithField(kTargetField);
  }
  std::set<std::string> names = {kAllLinear, "attention", "mlp"};
  for (const LinearInfo& linear : linears) names.insert(ShortName(linear.name));
  return InvalidArgument("no linear layer of the model is named \"" + target + "\"" +
                         Suggestion(target, names))
      .WithField(kTargetField);
}

// Of each linear layer whether it is a target. kInvalidArgument for a target that is none, where
// all have to be, and where there is no target at all.
Result<std::vector<bool>> Targets(const LoraNaming& naming,
                                  const std::vector<LinearInfo>& linears) {
  std::vector<bool> chosen(linears.size());
  if (naming.target_pattern) {
    for (size_t i = 0; i < linears.size(); ++i) {
      chosen[i] = Matches(*naming.target_pattern, linears[i].name);
    }
    return chosen;
  }
  for (const std::string& target : naming.targets) {
    bool found = false;
    for (size_t i = 0; i < linears.size(); ++i) {
      if (target.empty() || !MatchesTarget(linears[i], target)) continue;
      chosen[i] = found = true;
    }
    const bool is_tied_name =
        std::ranges::find(kTiedNames, ShortName(target)) != std::end(kTiedNames);
    if (!found && (naming.all_match || is_tied_name)) return NoSuchTarget(target, linears);
  }
  if (std::ranges::find(chosen, true) == chosen.end() && !naming.targets.empty()) {
    return NoSuchTarget(naming.targets.front(), linears);
  }
  return chosen;
}

LoraModule ModuleOf(const LoraNaming& naming, const LoraConfig& config, const std::string& name) {
  LoraModule module{name, config.rank, config.alpha};
  const auto found = [&](const auto& patterns, auto* value) {
    for (const auto& [pattern, own] : patterns) {
      if (!Matches(*pattern, name)) continue;
      *value = own;
      return;
    }
  };
  found(naming.ranks, &module.rank);
  found(naming.alphas, &module.alpha);
  return module;
}

// As peft does: whatever module's name ends so, and all that is in it.
bool IsNamed(const std::string& tensor, const std::string& saved) {
  for (size_t end = tensor.rfind('.'); end != std::string::npos && end > 0;
       end = tensor.rfind('.', end - 1)) {
    if (std::string_view(tensor).substr(0, end).ends_with(saved)) return true;
  }
  return false;
}

Status NoSuchModule(const std::string& saved, const std::vector<std::string>& tensors) {
  std::set<std::string> names;
  for (const std::string& tensor : tensors) names.insert(ShortName(ModuleOf(tensor)));
  return InvalidArgument("no module of the model is named \"" + saved + "\"" +
                         Suggestion(saved, names))
      .WithField(kSavedField);
}

Status CheckTied(const LoraNaming& naming, const ModelConfig& model) {
  const std::string& embedding = model.names.embedding;
  const bool known = std::ranges::find(kTiedNames, ShortName(embedding)) != std::end(kTiedNames);
  if (naming.all_match ? known : naming.ensure_weight_tying) return Status();
  return InvalidArgument(
             "several modules of the model are one embedding (" + embedding +
             "); an adapter whose modules_to_save name one of them unties them" +
             (naming.all_match
                  ? ", since peft keeps those tied that are called embed_tokens and lm_head"
                  : ". Train it with ensure_weight_tying=True"))
      .WithField(kSavedField);
}

// A classifier's head trains as a whole beside A and B, whatever else does, as peft has it.
void AddHead(const ModelConfig& model, LoraConfig* config) {
  const std::string head = ShortName(model.names.head);
  if (model.head == HeadKind::kLabels && !IsSaved(*config, head)) {
    config->modules_to_save.push_back(head);
  }
}

Status FindOwn(const LoraNaming& naming, const ModelConfig& model, LoraConfig* config) {
  if (naming.all_match || naming.trains_head) AddHead(model, config);
  const std::vector<std::string> tensors = Tensors(model);
  std::set<std::string> own;
  for (const std::string& saved : config->modules_to_save) {
    bool found = false;
    for (const std::string& tensor : tensors) {
      if (saved.empty() || !IsNamed(tensor, saved)) continue;
      found = true;
      own.insert(tensor);
    }
    if (!found && naming.all_match) return NoSuchModule(saved, tensors);
  }
  const std::string embedding = model.names.embedding + ".weight";
  const bool had_head = model.tied_embeddings && own.erase(model.names.head + ".weight") > 0;
  // Stacks that share an embedding have a module of it each.
  const bool is_shared = model.tied_embeddings || !model.names.embedding_copies.empty();
  if (is_shared && (had_head || own.contains(embedding))) {
    ATTUNE_RETURN_IF_ERROR(CheckTied(naming, model));
    own.insert(embedding);
  }
  config->own.assign(own.begin(), own.end());
  return Status();
}

// Biases that train beside A and B.
void AddBiases(const ModelConfig& model, LoraConfig* config) {
  if (config->bias == "none") return;
  std::set<std::string> own(config->own.begin(), config->own.end());
  for (const std::string& tensor : TensorNames(model)) {
    const bool is_used = model.head == HeadKind::kLabels || model.names.pooler.empty() ||
                         ModuleOf(tensor) != model.names.pooler;
    if (!tensor.ends_with(".bias") || !is_used) continue;
    const auto module = std::ranges::find(config->modules, ModuleOf(tensor), &LoraModule::name);
    if (config->bias == "all" || module != config->modules.end()) own.insert(tensor);
  }
  config->own.assign(own.begin(), own.end());
}

Status CheckLayers(const ModelConfig& model, const LoraConfig& config) {
  const int64_t layers = std::max(model.layers, model.encoder ? model.encoder->layers : 0);
  for (const int64_t layer : config.layers) {
    if (layer >= 0 && layer < layers) continue;
    return InvalidArgument("the model has no layer " + std::to_string(layer) +
                           ": its layers are 0 to " + std::to_string(layers - 1))
        .WithField("method.layers");
  }
  return Status();
}

Result<NamePattern> Compile(const std::string& pattern, const std::string& regex,
                            const std::string& field) {
  if (pattern.size() > kPatternBytesMax) {
    return InvalidArgument(field + ": the pattern is longer than " +
                           std::to_string(kPatternBytesMax) + " bytes")
        .WithField(field);
  }
  auto compiled = std::make_shared<const RE2>(regex, RE2::Quiet);
  if (!compiled->ok()) {
    return InvalidArgument(field + ": '" + pattern +
                           "' is no regular expression of RE2: " + compiled->error())
        .WithField(field);
  }
  return NamePattern(std::move(compiled));
}

}  // namespace

Result<NamePattern> MakeNamePattern(const std::string& pattern, const std::string& field) {
  return Compile(pattern, pattern, field);
}

Result<NamePattern> MakeEndPattern(const std::string& pattern, const std::string& field) {
  return Compile(pattern, "(?:.*\\.)?(?:" + pattern + ")", field);
}

bool Matches(const RE2& pattern, const std::string& name) {
  return RE2::FullMatch(name, pattern);
}

std::string ShortName(const std::string& module) {
  return module.substr(module.rfind('.') + 1);
}

bool NamesModule(const std::string& target, const std::string& module) {
  return module == target || (module.size() > target.size() && module.ends_with(target) &&
                              module[module.size() - target.size() - 1] == '.');
}

int64_t LayerOf(const std::string& module) {
  static const auto* numbered = new RE2("^.*?\\.[^.]*\\.(\\d{1,9})\\.");
  int64_t layer = -1;
  RE2::PartialMatch(module, *numbered, &layer);
  return layer;
}

bool IsSaved(const LoraConfig& config, const std::string& module) {
  return std::ranges::any_of(config.modules_to_save, [&](const std::string& saved) {
    return !saved.empty() && ("." + module + ".").find("." + saved + ".") != std::string::npos;
  });
}

Status Resolve(const LoraNaming& naming, const ModelConfig& model, LoraConfig* config) {
  if (naming.all_match) ATTUNE_RETURN_IF_ERROR(CheckLayers(model, *config));
  ATTUNE_RETURN_IF_ERROR(FindOwn(naming, model, config));
  const std::vector<LinearInfo> linears = LinearsOf(model);
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<bool> chosen, Targets(naming, linears));
  config->modules.clear();
  for (size_t i = 0; i < linears.size(); ++i) {
    const std::string& name = linears[i].name;
    if (!chosen[i] || IsExcluded(naming, *config, name)) continue;
    // A pattern has no layers beside it.
    if (!naming.target_pattern && !InLayers(naming, *config, name)) continue;
    if (std::ranges::find(config->own, name + ".weight") != config->own.end()) {
      return InvalidArgument("modules_to_save name " + name +
                             ", which gets A and B too: write its whole name, or the last part of "
                             "it, so that it gets none")
          .WithField(kSavedField);
    }
    config->modules.push_back(ModuleOf(naming, *config, name));
  }
  AddBiases(model, config);
  return Status();
}

}  // namespace attune
