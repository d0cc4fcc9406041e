#include "common/ledger/little_endian.h"

namespace attune::ledger {
namespace {

template <typename Number>
Number Load(const void* bytes) {
  const auto* from = static_cast<const uint8_t*>(bytes);
  Number number = 0;
  for (size_t i = 0; i < sizeof number; ++i) number |= static_cast<Number>(from[i]) << 8 * i;
  return number;
}

template <typename Number>
void Append(Number number, std::string* bytes) {
  for (size_t i = 0; i < sizeof number; ++i) *bytes += static_cast<char>(number >> 8 * i);
}

}  // namespace

uint32_t LoadU32(const void* bytes) {
  return Load<uint32_t>(bytes);
}
uint64_t LoadU64(const void* bytes) {
  return Load<uint64_t>(bytes);
}
void AppendU32(uint32_t number, std::string* bytes) {
  Append(number, bytes);
}
void AppendU64(uint64_t number, std::string* bytes) {
  Append(number, bytes);
}

}  // namespace attune::ledger
