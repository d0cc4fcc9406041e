// A chat template of any text parses and renders, or is an error: no crash, no endless work.

#include <cstdint>
#include <string_view>

#include "worker/text/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view source(reinterpret_cast<const char*>(data), size);
  auto parsed = attune::text::ChatTemplate::Parse(source, "<s>", "</s>");
  if (parsed.ok()) {
    (void)(*parsed)
        ->Render(R"([{"role":"user","content":"a"},{"role":"assistant","content":"b"}])", true)
        .ok();
  }
  return 0;
}
