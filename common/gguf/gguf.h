#pragma once

// Reads the GGUF container (versions 2 and 3, little-endian): typed metadata and the tensors'
// bytes. The file is mapped, not copied. Format:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
// The bytes are not trusted: every count, length and offset is checked against the file and against
// the limits below before it is used. What the elements mean (dequantisation) is
// worker/engine/formats' part.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/files.h"
#include "common/base/status.h"
#include "common/gguf/types.h"

namespace attune::gguf {

inline constexpr uint64_t kMetadataEntriesMax = 65536;
inline constexpr uint64_t kTensorsMax = 131072;
inline constexpr uint64_t kArrayElementsMax = 8 << 20;  // over all arrays of the file
inline constexpr uint64_t kNameBytesMax = 1024;         // of a key or a tensor's name
inline constexpr uint32_t kDimensionsMax = 4;
inline constexpr uint32_t kAlignmentMax = 1 << 20;
inline constexpr int kArrayDepthMax = 4;

// One metadata value. Strings point into the file and live as long as it does.
class Value {
 public:
  using Array = std::vector<Value>;
  using Variant = std::variant<bool, uint64_t, int64_t, double, std::string_view, Array>;

  Value(ValueType type, Variant value) : type_(type), value_(std::move(value)) {}

  ValueType type() const { return type_; }
  const bool* AsBool() const { return std::get_if<bool>(&value_); }
  const std::string_view* AsString() const { return std::get_if<std::string_view>(&value_); }
  const Array* AsArray() const { return std::get_if<Array>(&value_); }
  const Variant& variant() const { return value_; }

 private:
  ValueType type_;
  // All unsigned integers as uint64_t, signed as int64_t, both floats as double.
  Variant value_;
};

struct Tensor {
  std::string_view name;
  const ElementType* type;
  std::vector<uint64_t>
      dimensions;  // as stored: the fastest first, so the reverse of torch's shape
  uint64_t elements;
  std::span<const std::byte> data;
};

// Immutable after it is opened; may be shared between threads.
class File {
 public:
  // kInvalidArgument when the file is not GGUF, is damaged or exceeds a limit; the message names
  // the path.
  static Result<std::shared_ptr<const File>> Open(const std::filesystem::path& path);
  // The same from memory that outlives the object.
  static Result<std::shared_ptr<const File>> Parse(std::span<const std::byte> bytes);

  uint32_t version() const { return version_; }
  uint64_t alignment() const { return alignment_; }
  const std::map<std::string_view, Value>& metadata() const { return metadata_; }
  const std::map<std::string_view, Tensor>& tensors() const { return tensors_; }

  // Null when there is none.
  const Value* Find(std::string_view key) const;
  const Tensor* FindTensor(std::string_view name) const;

  // The value of a key as the type asked for: kNotFound when the key is missing, kInvalidArgument
  // when its value has another type or does not fit. Integers of any width are accepted, GetFloat
  // also takes integers.
  Result<std::string_view> GetString(std::string_view key) const;
  Result<uint64_t> GetUint(std::string_view key) const;
  Result<double> GetFloat(std::string_view key) const;
  Result<bool> GetBool(std::string_view key) const;
  Result<std::vector<std::string_view>> GetStrings(std::string_view key) const;
  Result<std::vector<int64_t>> GetInts(std::string_view key) const;
  Result<std::vector<double>> GetFloats(std::string_view key) const;

 private:
  friend class Parser;
  File() = default;

  std::shared_ptr<MappedFile> map_;  // null when parsed from memory
  uint32_t version_ = 0;
  uint64_t alignment_ = 32;
  std::map<std::string_view, Value> metadata_;
  std::map<std::string_view, Tensor> tensors_;
};

}  // namespace attune::gguf
