#pragma once

// Export without the report of what it did to a model's outputs.

#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Writes the folder, and returns what Export's line says, but for "moved".
Result<nlohmann::json> WriteExported(const ExportTask& task, Observer& observer);

}  // namespace attune::engine
