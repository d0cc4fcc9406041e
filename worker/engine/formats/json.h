#pragma once

// JSON from files that are not trusted: no duplicate keys, bounded depth, no exceptions.

#include <nlohmann/json.hpp>
#include <string_view>

#include "common/base/status.h"

namespace attune::engine {

inline constexpr int kJsonDepthMax = 64;

// kInvalidArgument when the text is not JSON, nests deeper than kJsonDepthMax or names a key twice
// in an object.
Result<nlohmann::json> ParseJson(std::string_view text);

}  // namespace attune::engine
