// A token shard of any bytes is refused or can be read whole.

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

#include "common/base/hash.h"
#include "worker/engine/data/shard_writer.h"
#include "worker/engine/data/token_file.h"

namespace {

using attune::Sha256Hex;
using attune::engine::TokenFile;

// With the right checksums, so that the checks behind them are reached.
void Resign(std::string* content) {
  if (content->size() < attune::engine::kShardFooterBytes) return;
  const size_t sums = content->size() - 128;
  uint64_t index;
  std::memcpy(&index, content->data() + content->size() - attune::engine::kShardFooterBytes + 16,
              sizeof index);
  index = std::min<uint64_t>(index, sums);
  content->replace(sums, 64, Sha256Hex(std::string_view(*content).substr(0, index)));
  content->replace(sums + 64, 64,
                   Sha256Hex(std::string_view(*content).substr(index, sums + 64 - index)));
}

uint64_t ReadAll(const TokenFile& file) {
  uint64_t sum = 0;
  for (size_t i = 0; i < file.size(); ++i) {
    const attune::engine::TokenExample example = file.Example(i);
    for (uint32_t token : example.tokens) sum += token;
    for (uint8_t target : example.targets) sum += target;
    for (uint8_t byte : example.id) sum += byte;
  }
  for (char byte : file.notes()) sum += static_cast<unsigned char>(byte);
  return sum;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string kFile = "/tmp/attune-token-shard-fuzz-" + std::to_string(getpid());
  std::string content(reinterpret_cast<const char*>(data), size);
  Resign(&content);
  std::ofstream(kFile, std::ios::binary) << content;
  auto file = TokenFile::Open(kFile);
  if (!file.ok()) return 0;
  const uint64_t sum = ReadAll(**file) + (*file)->CheckExamples().ok();
  return sum == 0xdeadbeef;
}
