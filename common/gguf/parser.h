#pragma once

// The parser behind File; private to this folder.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/gguf/gguf.h"

namespace attune::gguf {

class Parser {
 public:
  // Fills file with views into bytes.
  Parser(std::span<const std::byte> bytes, File* file) : bytes_(bytes), file_(file) {}
  Status Run();

 private:
  struct TensorOffset {
    std::string_view name;
    uint64_t offset;  // from the start of the data section
    uint64_t bytes;
  };

  Status ReadHeader(uint64_t* tensor_count, uint64_t* metadata_count);
  Status ReadMetadata(uint64_t count);
  Status ReadAlignment();
  Status ReadTensorInfo(TensorOffset* where);
  Status ReadDimensions(std::string_view name, Tensor* tensor);
  Status PlaceTensors(std::vector<TensorOffset> offsets);

  Result<Value> ReadValue(uint32_t type, int depth);
  Result<Value> ReadArray(int depth);
  template <typename T>
  Result<T> Read(std::string_view what);
  Result<std::string_view> ReadString(std::string_view what, uint64_t limit);
  uint64_t remaining() const { return bytes_.size() - position_; }
  Status Truncated(std::string_view what) const;

  const std::span<const std::byte> bytes_;
  File* const file_;
  uint64_t position_ = 0;
  uint64_t array_elements_ = 0;
};

}  // namespace attune::gguf
