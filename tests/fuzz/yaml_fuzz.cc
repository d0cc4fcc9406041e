// Any bytes are a document or an error with a position; a document can be read and overridden.

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/yaml/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  auto document = attune::yaml::Parse(text, "fuzz.yaml");
  if (!document.ok()) {
    ATTUNE_CHECK(!document.status().message().empty());
    return 0;
  }
  attune::Status set = document->Set(text);
  attune::yaml::Reader reader(*document);
  int number = 0;
  std::string word;
  reader.Optional("a", &number, attune::yaml::Range{1, 64});
  reader.Section("b", [&](attune::yaml::Reader& b) { b.Required("c", &word); });
  attune::Status status = reader.Finish();
  ATTUNE_CHECK(set.ok() || !set.message().empty());
  ATTUNE_CHECK(status.ok() || !status.message().empty());
  return 0;
}
