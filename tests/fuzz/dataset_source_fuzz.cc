#include "tests/fuzz/source_check.h"

// Any file: its compression and format are recognised. The same rows come however the bytes are
// cut.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::datasets;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::optional<uint64_t> rows = CheckSource("rows", bytes, 1 << 16, std::nullopt);
  if (size < 4096) ATTUNE_CHECK(CheckSource("rows", bytes, 1, std::nullopt) == rows);
  CheckSource("rows.csv.gz", bytes, 100, std::nullopt);
  return 0;
}
