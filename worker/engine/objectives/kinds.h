#pragma once

// The objectives, a file each. Private to this folder.

#include <memory>

#include "worker/engine/objectives/objective.h"

namespace attune::engine {

std::unique_ptr<ObjectiveFunction> NewMaskedTokens(const ObjectiveParts& parts);
std::unique_ptr<ObjectiveFunction> NewClassification(const ObjectiveParts& parts);
std::unique_ptr<ObjectiveFunction> NewEmbedding(const ObjectiveParts& parts);
std::unique_ptr<ObjectiveFunction> NewPreference(const ObjectiveParts& parts);

}  // namespace attune::engine
