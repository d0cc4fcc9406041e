#pragma once

// The file of facts that a verdict followed from: a serialized GateFacts.

#include <string>
#include <string_view>

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"

namespace attune::gates {

inline constexpr size_t kMaxFactsBytes = 1'500'000'000;

// Equal facts, equal bytes: maps in the order of their keys.
std::string SerializeFacts(const v1::GateFacts& facts);

// kInvalidArgument: the bytes are no GateFacts, or more than kMaxFactsBytes.
Result<v1::GateFacts> ParseFacts(std::string_view bytes);

}  // namespace attune::gates
