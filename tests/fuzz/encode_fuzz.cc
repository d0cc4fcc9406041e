// The fast way of byte-level tokenizers against the crate's: the same ids and offsets for any text.

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "worker/text/text.h"

namespace {

using attune::text::LoadTextAssets;
using attune::text::Tokenizer;

struct Pair {
  explicit Pair(const char* folder) {
    auto assets = LoadTextAssets(folder);
    if (!assets.ok() || !assets->tokenizer->fast()) __builtin_trap();
    fast = assets->tokenizer;
    by_crate = fast->ByCrate().value();
  }
  std::shared_ptr<const Tokenizer> fast, by_crate;
};

void Compare(const Pair& pair, std::string_view text) {
  auto fast = pair.fast->Encode(text, true), by_crate = pair.by_crate->Encode(text, true);
  if (fast.ok() != by_crate.ok()) __builtin_trap();
  if (!fast.ok()) return;  // not UTF-8
  if (fast->ids != by_crate->ids || fast->offsets != by_crate->offsets) __builtin_trap();
  size_t start = text.empty() ? 0 : static_cast<uint8_t>(text[0]) * text.size() / 256;
  while (start < text.size() && (text[start] & 0xc0) == 0x80) ++start;
  const auto alone = pair.by_crate->Encode(text.substr(0, start), true);
  const auto after = pair.fast->EncodeAfter(text, start, true);
  if (!alone.ok() || !after.ok() || after->ids != fast->ids) __builtin_trap();
  const auto differ = std::ranges::mismatch(alone->ids, fast->ids).in2;
  if (after->same != static_cast<size_t>(differ - fast->ids.begin())) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Pair kPairs[] = {
      Pair("tests/fixtures/text/small"), Pair("tests/fixtures/text/llama-bpe"),
      Pair("tests/fixtures/text/qwen2"), Pair("tests/fixtures/text/tekken")};
  for (const Pair& pair : kPairs) {
    Compare(pair, {reinterpret_cast<const char*>(data), size});
  }
  return 0;
}
