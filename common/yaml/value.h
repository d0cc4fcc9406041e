#pragma once

// One node as one typed value. Each returns "" or what the node must be instead ("a whole number
// from 1 to 64, not 'x'"), for a message that starts with the key.

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "common/yaml/document.h"

namespace attune::yaml {

// Bounds of a number, both included. For a list, of each of its numbers.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};
// The words a string may be. Empty: any but the empty string.
struct OneOf {
  std::vector<std::string> values;
};

std::string Convert(const Node& node, bool* out);
std::string Convert(const Node& node, int32_t* out, const Range& range = {});
std::string Convert(const Node& node, uint32_t* out, const Range& range = {});
std::string Convert(const Node& node, int64_t* out, const Range& range = {});
std::string Convert(const Node& node, uint64_t* out, const Range& range = {});
std::string Convert(const Node& node, double* out, const Range& range = {});
std::string Convert(const Node& node, std::string* out, const OneOf& one_of = {});
std::string Convert(const Node& node, std::vector<std::string>* out, const OneOf& one_of = {});
std::string Convert(const Node& node, std::vector<double>* out, const Range& range = {});
std::string Convert(const Node& node, std::vector<uint32_t>* out, const Range& range = {});
// "250ms", "10s", "5m", "6h", "2d"; the range is in seconds.
std::string Convert(const Node& node, std::chrono::milliseconds* out, const Range& range = {});

// 3, 0.05, 2e-4: the shortest text that reads back as the same number.
std::string FormatNumber(double value);

}  // namespace attune::yaml
