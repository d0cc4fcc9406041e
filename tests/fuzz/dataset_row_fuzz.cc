#include "coordinator/datasets/importer.h"
#include "coordinator/datasets/utf8.h"

// A row either parses into something that parses to itself again, or is refused in words that are
// valid UTF-8.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace attune::datasets;
  attune::Result<Row> row = ParseRow({reinterpret_cast<const char*>(data), size});
  if (row.ok()) {
    attune::Result<Row> again = ParseRow(row->content);
    ATTUNE_CHECK(again.ok() && again->id == row->id);
  } else {
    ATTUNE_CHECK(FindInvalidUtf8(row.status().message()) == std::string_view::npos);
  }
  return 0;
}
