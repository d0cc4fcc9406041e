#pragma once

// What an adapter's configuration names in a model, by peft's rules.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/model/lora_config.h"
#include "common/model/tensors.h"

namespace re2 {
class RE2;
}

namespace attune {

inline constexpr char kAllLinear[] = "all-linear";

// A pattern that a whole name has to match. The cost of a search is linear in the name.
using NamePattern = std::shared_ptr<const re2::RE2>;
// `field`: what has it, for the message.
Result<NamePattern> MakeNamePattern(const std::string& pattern, const std::string& field);
// One that a name or its end has to match, as the keys of rank_pattern.
Result<NamePattern> MakeEndPattern(const std::string& pattern, const std::string& field);
bool Matches(const re2::RE2& pattern, const std::string& name);

struct LoraNaming {
  std::vector<std::string> targets;  // names, endings and groups; see WithModules
  NamePattern target_pattern;        // in their place
  std::vector<std::string> excluded;
  NamePattern excluded_pattern;
  std::vector<std::string> layer_patterns;  // names of what numbers the layers; none: whatever does
  std::vector<std::pair<NamePattern, int>> ranks;  // of modules, in place of the config's
  std::vector<std::pair<NamePattern, double>> alphas;
  // As of a job: every target has to match. An adapter's file may name what this model lacks, as
  // lists are written for many models.
  bool trains_head = false;  // of a classifier, though nothing names it
  bool all_match = false;
  // Embeddings that are tied and train as a whole stay tied.
  bool ensure_weight_tying = false;
};

// Fills modules and own.
Status Resolve(const LoraNaming& naming, const ModelConfig& model, LoraConfig* config);

// Whether a name of a list means the module: its name or an ending after a dot.
bool NamesModule(const std::string& target, const std::string& module);

// The last part of a module's name.
std::string ShortName(const std::string& module);

// "layers.<number>." and the like: the number of a module's layer, as peft finds it; -1: none.
int64_t LayerOf(const std::string& module);

// Whether the module is, or is in, one that trains as a whole.
bool IsSaved(const LoraConfig& config, const std::string& module);

}  // namespace attune
