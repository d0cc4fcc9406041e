// Any bytes as tokenizer.json, and any text for a good tokenizer: an error or a result, never a
// crash.

#include <cstdint>
#include <string_view>

#include "worker/text/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto kGood = attune::text::LoadTextAssets("tests/fixtures/text/small");
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto tokenizer = attune::text::Tokenizer::FromJson(input);
  if (tokenizer.ok()) (void)(*tokenizer)->Encode("some text 12", true).ok();
  if (!kGood.ok()) return 0;
  auto encoding = kGood->tokenizer->Encode(input, false);
  if (!encoding.ok()) return 0;
  for (auto [begin, end] : encoding->offsets) {
    if (begin > end || end > size) __builtin_trap();
  }
  return 0;
}
