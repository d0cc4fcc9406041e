#pragma once

// The stream spec's keys for people: what docs/stream-spec.md says.

#include <span>
#include <string>

#include "common/spec/key_table.h"

namespace attune::spec {

std::span<const SpecKey> StreamKeys();

// The text of docs/stream-spec.md.
std::string StreamMarkdown();

}  // namespace attune::spec
