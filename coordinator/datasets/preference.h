#pragma once

// Pairs of answers of which people prefer one, as preference training (DPO) reads them.

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "coordinator/datasets/row_json.h"

namespace attune::datasets {

// Whether the row has `chosen` and `rejected`, and nothing beside them that asks but is no
// `prompt`, as an instruction is.
bool IsPreference(const RowJson& row);

// One of `prompt`, `chosen` and `rejected`.
bool IsPreferenceKey(const std::string& key);

// What tables write in place of what JSON has: a null prompt is none, and where chosen and rejected
// are both the JSON text of a list of messages, they and the prompt become lists. Any other text
// that looks like a list is an answer.
void ReadTablePreference(RowJson* row);

// What many sets have: a text as the prompt of two lists of messages. One that both lists ask
// first, or that is blank, goes; where neither list asks anything, it becomes a user's message. Any
// other stays, which CheckPreference complains about.
void PlacePrompt(RowJson* row);

// The Unicode code points of all parts. kInvalidArgument unless they are all texts or all lists of
// messages, either side says something, and they differ.
Result<uint64_t> CheckPreference(const RowJson& row);

}  // namespace attune::datasets
