#pragma once

// The element types of GGUF: how many elements and bytes one block of each has. The numbers are
// those of ggml.h (ggml-org/llama.cpp) and of gguf-py's GGML_QUANT_SIZES.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace attune::gguf {

// Types of metadata values, by their number in the file.
enum class ValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

std::string_view ValueTypeName(ValueType type);

// One type of tensor data. `number` is its number in the file.
struct ElementType {
  uint32_t number;
  std::string_view name;  // "F32", "Q4_1", ...
  uint32_t block_elements;
  uint32_t block_bytes;
  bool weights = false;  // the engine turns it into float32 (worker/engine/formats/dequantize.h)
};

// Null for a number that no known type has. The pointer is good for the whole program.
const ElementType* FindElementType(uint32_t number);
const ElementType* FindElementType(std::string_view name);

// All known types, and the names of those that are read as weights: "F32, F16, ...".
std::span<const ElementType> ElementTypes();
std::string WeightTypeNames();

}  // namespace attune::gguf
