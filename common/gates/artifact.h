#pragma once

// The gates over what would be served: its answers to smoke prompts, its size, its speed; and how
// it was measured. None for what the spec does not ask.

#include <string>
#include <vector>

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"

namespace attune::gates {

// kInvalidArgument: not one answer for each prompt.
Result<std::vector<v1::GateResult>> SmokeGates(const v1::GateFacts& facts);

// "size" and "latency". INCONCLUSIVE: what is limited was not measured.
std::vector<v1::GateResult> LimitGates(const v1::ArtifactLimits& limits,
                                       const v1::ArtifactFacts& artifact);

// "bfloat16 on NVIDIA H100"; empty where an earlier evaluation does not say.
std::string MeasuredIn(const v1::ArtifactFacts& artifact);

// "alike", INCONCLUSIVE, where candidate and champion were measured in different precision, so that
// a difference between them may be that of rounding; none else.
std::vector<v1::GateResult> AlikeGates(const v1::GateFacts& facts);

}  // namespace attune::gates
