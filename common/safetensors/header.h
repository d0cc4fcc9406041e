#pragma once

// The JSON header of a safetensors file, parsed strictly.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace attune {

struct SafetensorsHeader {
  struct Entry {
    std::string dtype;
    std::vector<int64_t> shape;
    uint64_t begin = 0, end = 0;  // from the start of the data
  };
  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;
};

// Only the form is checked here: types, duplicates, unknown and missing keys; not offsets against a
// file.
Result<SafetensorsHeader> ParseSafetensorsHeader(std::string_view json);

// For messages: the name in quotes, shortened, without control characters.
std::string QuotedName(std::string_view name);

}  // namespace attune
