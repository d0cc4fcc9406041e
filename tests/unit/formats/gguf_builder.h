#pragma once

// Writes GGUF files byte by byte, right or wrong, for tests.

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/gguf/gguf.h"

namespace attune::gguf {

class Bytes {
 public:
  template <typename T>
  Bytes& Add(T value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Bytes& String(std::string_view text) {
    Add<uint64_t>(text.size());
    text_ += text;
    return *this;
  }
  Bytes& Header(uint64_t tensors, uint64_t metadata, uint32_t version = 3) {
    text_ += "GGUF";
    return Add<uint32_t>(version).Add<uint64_t>(tensors).Add<uint64_t>(metadata);
  }
  Bytes& Key(std::string_view key, ValueType type) {
    return String(key).Add<uint32_t>(static_cast<uint32_t>(type));
  }
  Bytes& TensorInfo(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type,
                    uint64_t offset) {
    String(name).Add<uint32_t>(static_cast<uint32_t>(dimensions.size()));
    for (uint64_t dimension : dimensions) Add<uint64_t>(dimension);
    return Add<uint32_t>(type).Add<uint64_t>(offset);
  }
  // Zeros up to a multiple of the alignment.
  Bytes& Pad(size_t alignment = 32) {
    text_.resize((text_.size() + alignment - 1) / alignment * alignment, '\0');
    return *this;
  }
  Bytes& Zeros(size_t count) {
    text_.append(count, '\0');
    return *this;
  }
  const std::string& text() const { return text_; }
  std::span<const std::byte> span() const { return std::as_bytes(std::span(text_)); }

 private:
  std::string text_;
};

}  // namespace attune::gguf
