#pragma once

// Export without the report of what it did to a model's outputs.

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "common/base/status.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Writes the folder, and returns what Export's line says, but for "moved". look: at what is
// written, before the folder has its name; may add to the line.
using LookAtExport =
    std::function<void(const std::filesystem::path& written, nlohmann::json* line)>;
Result<nlohmann::json> WriteExported(const ExportTask& task, Observer& observer,
                                     const LookAtExport& look = nullptr);

}  // namespace attune::engine
