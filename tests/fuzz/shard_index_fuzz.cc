// Any bytes are the index of a shard or refused, also with a checksum that is right; what is read
// is written to the same again.

#include <string>

#include "common/base/hash.h"
#include "coordinator/datasets/shard_index.h"

namespace {

void Check(std::string_view bytes) {
  using namespace attune::datasets;
  attune::Result<ShardIndex> index = ParseShardIndex(bytes);
  if (!index.ok()) return;
  const std::string written = FormatShardIndex(*index);
  attune::Result<ShardIndex> again = ParseShardIndex(written);
  ATTUNE_CHECK(again.ok() && FormatShardIndex(*again) == written);
  ATTUNE_CHECK(again->lines.size() == index->lines.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  Check(bytes);
  std::string content = "ATTUNIDX";
  content.append("\1\0\0\0", 4).append(bytes);
  Check(content + attune::Sha256Hex(content));
  return 0;
}
