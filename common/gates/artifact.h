#pragma once

// The gates over what would be served: its answers to smoke prompts, its size, its speed. None for
// what the spec does not ask.

#include <vector>

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"

namespace attune::gates {

// kInvalidArgument: not one answer for each prompt.
Result<std::vector<v1::GateResult>> SmokeGates(const v1::GateFacts& facts);

// "size" and "latency". INCONCLUSIVE: what is limited was not measured.
std::vector<v1::GateResult> LimitGates(const v1::ArtifactLimits& limits,
                                       const v1::ArtifactFacts& artifact);

}  // namespace attune::gates
