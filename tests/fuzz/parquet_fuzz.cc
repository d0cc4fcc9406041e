#include "tests/fuzz/source_check.h"

// The library is not instrumented, so the corpus holds whole files to change.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::datasets;
  CheckSource("rows.parquet", {reinterpret_cast<const char*>(data), size}, 1 << 16,
              Format::kParquet);
  return 0;
}
