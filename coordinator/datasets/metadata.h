#pragma once

// What a row says of itself beside its content: who it came from, when, in which language. Slices
// and drift are told by it; nothing is learned from it, and it is no part of the example's id.

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "coordinator/datasets/row_json.h"

namespace attune::datasets {

inline constexpr size_t kMetadataKeysMax = 32;
inline constexpr size_t kMetadataKeyBytesMax = 64;
inline constexpr size_t kMetadataValueBytesMax = 256;
inline constexpr size_t kMetadataKeysReported = 50;

// Numbers and booleans as JSON spells them.
using Metadata = std::map<std::string, std::string>;

// `metadata`, and the well-known keys of a row that need not stand in it: source, language, tenant,
// timestamp, label.
bool IsMetadataKey(const std::string& key);

// The well-known keys and then the members of the object `metadata`, where their values are
// strings, numbers or booleans; null is no value. What is something else, beyond a limit, or there
// twice is left out and named in ignored ("metadata.KEY", or the well-known key).
Metadata ReadMetadata(const RowJson& row, std::vector<std::string>* ignored);

}  // namespace attune::datasets
