#pragma once

// "name" or "name@version": how people point at a dataset or a model.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::versions {

struct Reference {
  std::string name;
  uint32_t version = 0;  // 0: the newest
};

// kind ("dataset", "model") is for the message. kInvalidArgument unless it is a valid name,
// optionally followed by @ and a positive number.
Result<Reference> ParseReference(std::string_view kind, std::string_view text);

std::string FormatReference(const std::string& name, uint32_t version);

}  // namespace attune::versions
