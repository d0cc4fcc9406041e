#include "common/ledger/example_sum.h"

#include <cstdio>

#include "common/base/hash.h"
#include "common/base/status.h"
#include "common/ledger/little_endian.h"

namespace attune::ledger {

void ExampleSum::Add(std::span<const uint8_t> id) {
  ATTUNE_CHECK(id.size() == kIdBytes);
  const uint64_t first = Random(LoadU64(id.data())).Next();
  digest += Random(first ^ LoadU64(id.data() + 8)).Next();
  ++examples;
}

std::string DigestText(uint64_t digest) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(digest));
  return text;
}

}  // namespace attune::ledger
