#pragma once

#include <cstdint>
#include <optional>

namespace attune::engine {

// Bytes that this process could take without swapping or dying: of the machine's, and of its
// control group's limit where there is one. Empty when the kernel does not say.
std::optional<int64_t> FreeMemory();

}  // namespace attune::engine
