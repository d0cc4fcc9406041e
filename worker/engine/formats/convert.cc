#include "worker/engine/formats/convert.h"

#include <cstring>
#include <string>

namespace attune::engine {
namespace {

template <typename Stored, typename Convert>
Status ConvertAll(std::span<const std::byte> bytes, std::span<float> out, Convert convert) {
  ATTUNE_CHECK(bytes.size() == out.size() * sizeof(Stored));
  const std::byte* in = bytes.data();
  for (size_t i = 0; i < out.size(); ++i) {
    Stored value;
    std::memcpy(&value, in + i * sizeof value, sizeof value);
    out[i] = convert(value);
  }
  return Status();
}

}  // namespace

Status ConvertToFloat(std::string_view dtype, std::span<const std::byte> bytes,
                      std::span<float> out) {
  if (dtype == "F32") {
    ATTUNE_CHECK(bytes.size() == out.size_bytes());
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return Status();
  }
  if (dtype == "F16") return ConvertAll<uint16_t>(bytes, out, HalfToFloat);
  if (dtype == "BF16") return ConvertAll<uint16_t>(bytes, out, Bfloat16ToFloat);
  if (dtype == "F64") {
    return ConvertAll<double>(bytes, out, [](double value) { return static_cast<float>(value); });
  }
  return InvalidArgument("dtype " + std::string(dtype) +
                         " cannot be read as weights; supported are F32, F16, BF16 and F64");
}

}  // namespace attune::engine
