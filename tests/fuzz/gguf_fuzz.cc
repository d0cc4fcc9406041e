// Any bytes as a GGUF file: the container, the configuration out of it, and every tensor that is
// small enough.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/gguf/gguf.h"
#include "common/model/gguf_config.h"
#include "common/model/gguf_names.h"
#include "worker/engine/formats/dequantize.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto file = attune::gguf::File::Parse(std::as_bytes(std::span(data, size)));
  if (!file.ok()) return 0;
  (void)attune::LlamaConfigOf(**file).ok();
  std::vector<float> out;
  for (const auto& [name, tensor] : (*file)->tensors()) {
    (void)attune::LlamaNameOf(name, 4, 4, 2).ok();
    ATTUNE_CHECK(tensor.data.empty() ||
                 (reinterpret_cast<const uint8_t*>(tensor.data.data()) >= data &&
                  tensor.data.size() <= size));
    if (tensor.elements > 1 << 16) continue;
    out.resize(tensor.elements);
    (void)attune::engine::Dequantize(*tensor.type, tensor.data, out).ok();
  }
  return 0;
}
