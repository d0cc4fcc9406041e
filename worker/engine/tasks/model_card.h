#pragma once

// README.md of what a job made, as the Hugging Face Hub reads it.

#include <nlohmann/json.hpp>
#include <string>

#include "worker/engine/engine.h"

namespace attune::engine {

// lineage: the job's attune.json. root: the whole model below the adapter. adapter: the folder
// holds an adapter, not the whole model.
std::string ModelCard(const nlohmann::json& lineage, const ModelFiles& root, bool adapter);

// Of an adapter whose base peft cannot load: what to do about it; empty for another.
std::string GgufBaseNote(const ModelFiles& root);

}  // namespace attune::engine
