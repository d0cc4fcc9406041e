#pragma once

// Tensors of all ranks, brought to rank 0.

#include <filesystem>

#include "common/base/status.h"
#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/parallel/group.h"

namespace attune::engine {

// On rank 0 its own tensors, as they are, and copies of all others' of float32 or uint8, on the
// CPU; on the others nothing. Collective. The copies come in pieces and lie in a file of that
// folder that has no name, so that they take no memory that the system could not have back.
// kResourceExhausted where the disk has no room for them.
Result<NamedTensors> GatherOnFirst(Group& group, const NamedTensors& mine,
                                   const std::filesystem::path& folder);

}  // namespace attune::engine
