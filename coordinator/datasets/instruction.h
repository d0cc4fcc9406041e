#pragma once

// Rows of an instruction, what it is about, and its answer (Stanford Alpaca), as conversations.

#include "common/base/status.h"
#include "coordinator/datasets/row_json.h"

namespace attune::datasets {

// {"instruction": ..., "input": ..., "output": ...} as messages: the user says the instruction and,
// where there is an input, an empty line and the input; the assistant says the output, if there is
// one. Errors (kInvalidArgument) when one of them is no string; null is an absent one.
Result<RowJson> FromInstruction(const RowJson& row);

// One of the three keys.
bool IsInstructionKey(const std::string& key);

}  // namespace attune::datasets
