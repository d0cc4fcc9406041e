#pragma once

// JSON files of a model that are not trusted: no duplicate keys, bounded depth and size, no
// exceptions.

#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/base/status.h"

namespace attune::models {

inline constexpr uint64_t kJsonBytesMax = 64 << 20;

// kInvalidArgument, with the path, when it is not a JSON object.
Result<nlohmann::json> ReadJsonObject(const std::filesystem::path& path);

}  // namespace attune::models
