#include "coordinator/datasets/row.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

// A row either parses into something that parses to itself again, also from its shard line, or is
// refused in words that are valid UTF-8.
void Check(std::string_view bytes, bool allow_unlabelled) {
  Result<Row> row = ParseRow(bytes, allow_unlabelled);
  if (!row.ok()) {
    ATTUNE_CHECK(FindInvalidUtf8(row.status().message()) == std::string_view::npos);
    return;
  }
  for (const std::string& key : row->ignored_keys) {
    ATTUNE_CHECK(FindInvalidUtf8(key) == std::string_view::npos);
  }
  Result<Row> again = ParseRow(row->content, allow_unlabelled);
  ATTUNE_CHECK(again.ok() && again->id == row->id && again->kind == row->kind);
  std::string line = ShardLine(*row);
  again = ParseRow(line, allow_unlabelled);
  ATTUNE_CHECK(again.ok() && ShardLine(*again) == line);
  line.pop_back();
  Result<Row> stored = ParseShardLine(line);
  ATTUNE_CHECK(stored.ok() && stored->id == row->id && stored->kind == row->kind);
  ATTUNE_CHECK(stored->characters == row->characters && stored->metadata == row->metadata);
}

}  // namespace
}  // namespace attune::datasets

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::datasets;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Check(bytes, /*allow_unlabelled=*/false);
  Check(bytes, /*allow_unlabelled=*/true);
  (void)ParseShardLine(bytes);
  return 0;
}
