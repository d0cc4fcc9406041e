#pragma once

// The import spec's keys for people: what docs/import-spec.md says.

#include <span>
#include <string>

#include "common/spec/key_table.h"

namespace attune::spec {

std::span<const SpecKey> ImportKeys();

// The text of docs/import-spec.md.
std::string ImportMarkdown();

}  // namespace attune::spec
