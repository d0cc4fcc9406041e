// A token shard of any bytes is refused or can be read whole.

#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "common/base/hash.h"
#include "worker/engine/data/token_shard.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string kFile = "/tmp/attune-token-shard-fuzz-" + std::to_string(getpid());
  std::string content(reinterpret_cast<const char*>(data), size);
  // With the right checksum, so that the checks behind it are reached.
  if (size > 64) content.replace(size - 64, 64, attune::Sha256Hex(content.substr(0, size - 64)));
  std::ofstream(kFile, std::ios::binary) << content;
  auto shard = attune::engine::TokenShard::Open(kFile);
  if (!shard.ok()) return 0;
  uint64_t sum = 0;
  for (size_t i = 0; i < (*shard)->size(); ++i) {
    attune::engine::TokenExample example = (*shard)->Example(i);
    for (uint32_t token : example.tokens) sum += token;
    for (uint8_t target : example.targets) sum += target;
    for (uint8_t byte : example.id) sum += byte;
  }
  return sum == 0xdeadbeef;
}
