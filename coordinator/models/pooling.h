#pragma once

#include <filesystem>

#include "common/base/status.h"

namespace attune::models {

// sentence-transformers' modules beside a model, in the folder that is imported: only the mean over
// tokens, brought to unit length or not, is what embedding does. kInvalidArgument says what else is
// asked for.
Status CheckPooling(const std::filesystem::path& folder);

}  // namespace attune::models
