#pragma once

// From the Rust library's codes and buffers to Status and C++ values. Private to this folder.

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/text/rust/attune_text.h"

namespace attune::text {

inline const uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<const uint8_t*>(text.data());
}

// A buffer of the library, given back when it goes.
class OwnedBytes {
 public:
  OwnedBytes() = default;
  ~OwnedBytes() { attune_bytes_free(buffer_); }
  OwnedBytes(const OwnedBytes&) = delete;
  OwnedBytes& operator=(const OwnedBytes&) = delete;
  AttuneBytes* out() { return &buffer_; }
  std::string ToString() const {
    if (buffer_.size == 0) return std::string();
    return std::string(reinterpret_cast<const char*>(buffer_.data), buffer_.size);
  }

 private:
  AttuneBytes buffer_{};
};

class OwnedIds {
 public:
  OwnedIds() = default;
  ~OwnedIds() { attune_ids_free(buffer_); }
  OwnedIds(const OwnedIds&) = delete;
  OwnedIds& operator=(const OwnedIds&) = delete;
  AttuneIds* out() { return &buffer_; }
  size_t size() const { return buffer_.size; }
  uint32_t operator[](size_t i) const { return buffer_.data[i]; }
  std::vector<uint32_t> ToVector() const {
    if (buffer_.size == 0) return {};
    return {buffer_.data, buffer_.data + buffer_.size};
  }

 private:
  AttuneIds buffer_{};
};

inline Status ToStatus(int32_t code, const OwnedBytes& error) {
  switch (code) {
    case ATTUNE_TEXT_OK:
      return Status();
    case ATTUNE_TEXT_INVALID:
      return InvalidArgument(error.ToString());
    default:
      return Internal(error.ToString());
  }
}

}  // namespace attune::text
