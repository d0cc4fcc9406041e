#pragma once

// Inside the folder only.

#include "common/base/status.h"
#include "common/yaml/document.h"

namespace attune::yaml {

// Parses source into root, whose positions point into source.
Status ParseInto(const Source* source, Node* root);

}  // namespace attune::yaml
