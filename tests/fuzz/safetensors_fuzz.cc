// Any bytes as a safetensors file; what is accepted must be readable and must cover the data
// exactly.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "common/safetensors/safetensors.h"
#include "worker/engine/formats/convert.h"
#include "worker/engine/formats/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)attune::engine::ParseJson(std::string_view(reinterpret_cast<const char*>(data), size)).ok();
  auto file = attune::SafetensorsFile::Parse(std::as_bytes(std::span(data, size)));
  if (!file.ok()) return 0;
  size_t total = 0;
  for (const auto& [name, tensor] : (*file)->tensors()) {
    total += tensor.data.size();
    size_t element = attune::SafetensorsElementBytes(tensor.dtype);
    ATTUNE_CHECK(element > 0);
    std::vector<float> out(tensor.data.size() / element);
    (void)attune::engine::ConvertToFloat(tensor.dtype, tensor.data, out).ok();
  }
  ATTUNE_CHECK(total <= size);
  return 0;
}
