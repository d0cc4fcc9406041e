#pragma once

// A row's bytes as a JSON tree that keeps the order of keys, which a chat template may print.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::datasets {

using RowJson = nlohmann::ordered_json;

// Errors are in words for the row's author and valid UTF-8: malformed UTF-8 or JSON, more than
// kNestingMax levels (depth: those around the text), an object with many thousands of keys.
Result<RowJson> ParseRowJson(std::string_view text, size_t depth = 0);

// As json.dump() writes a tree that ParseRowJson made, several times faster: its strings are known
// to be well-formed.
std::string DumpRowJson(const RowJson& json);
// The same with the keys of every object sorted by their bytes.
std::string DumpSortedRowJson(const RowJson& json);

// Null when the object has no such key or it is no string.
const std::string* StringAt(const RowJson& object, const char* key);

}  // namespace attune::datasets
