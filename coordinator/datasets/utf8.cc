#include "coordinator/datasets/utf8.h"

#include <cstring>

namespace attune::datasets {
namespace {

bool IsContinuation(unsigned char c) {
  return (c & 0xc0) == 0x80;
}

// Bytes of the sequence at the front, 0 when it is malformed. The ranges are table 3-7 of the
// Unicode standard.
size_t SequenceLength(std::string_view s) {
  auto at = [&](size_t i) { return static_cast<unsigned char>(s[i]); };
  unsigned char c = at(0);
  if (c < 0x80) return 1;
  size_t length = c >= 0xc2 && c <= 0xdf   ? 2
                  : c >= 0xe0 && c <= 0xef ? 3
                  : c >= 0xf0 && c <= 0xf4 ? 4
                                           : 0;
  if (length == 0 || s.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if (!IsContinuation(at(i))) return 0;
  }
  unsigned char second = at(1);
  if (c == 0xe0 && second < 0xa0) return 0;
  if (c == 0xed && second > 0x9f) return 0;
  if (c == 0xf0 && second < 0x90) return 0;
  if (c == 0xf4 && second > 0x8f) return 0;
  return length;
}

}  // namespace

size_t FindInvalidUtf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    uint64_t eight;
    if (i + sizeof eight <= bytes.size()) {
      std::memcpy(&eight, bytes.data() + i, sizeof eight);
      if ((eight & 0x8080808080808080) == 0) {  // ASCII, all of them
        i += sizeof eight;
        continue;
      }
    }
    size_t length = SequenceLength(bytes.substr(i, 4));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

uint64_t CountCodePoints(std::string_view text) {
  uint64_t count = 0;
  for (unsigned char c : text) count += IsContinuation(c) ? 0 : 1;
  return count;
}

bool IsBlank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

}  // namespace attune::datasets
