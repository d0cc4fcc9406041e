#pragma once

#include <cstddef>
#include <span>

namespace attune::engine {

// Once a part of a MappedFile has been read: takes its pages out of the process's resident memory,
// which would otherwise hold a model twice while it is loaded. Reading it again works.
void ReleaseMappedPages(std::span<const std::byte> part);

}  // namespace attune::engine
