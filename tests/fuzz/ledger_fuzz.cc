// A plan file and a record of steps of any bytes are refused or can be compared whole.

#include <cstdint>
#include <string>

#include "common/base/hash.h"
#include "common/ledger/compare.h"

using namespace attune::ledger;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // The first byte says where the record of steps begins.
  const size_t cut = 1 + (size - 1) * data[0] / 255;
  std::string plan_bytes(reinterpret_cast<const char*>(data) + 1, cut - 1);
  if (cut > 64 + 1) {  // with the right checksum, so that the checks behind it are reached
    const size_t content = plan_bytes.size() - 64;
    plan_bytes.replace(content, 64, attune::Sha256Hex(plan_bytes.substr(0, content)));
  }
  const auto log = ParseStepLog(std::as_bytes(std::span(data + cut, size - cut)));
  const auto plan = PlanFile::Parse(std::as_bytes(std::span(plan_bytes)));
  if (!plan.ok()) return 0;
  std::vector<StepLog> logs;
  if (log.ok()) logs.push_back(*log);
  const Comparison result = Compare(*plan, logs, size % 2 == 0);
  uint64_t place = 0, listed = 0;
  while (true) {
    const auto uses = List(*plan, result, StepVerdict::kMissing, &place, 100);
    if (uses.empty()) break;
    listed += uses.size();
  }
  if (listed != result.uses.missing) __builtin_trap();
  const Uses& uses = result.uses;
  if (uses.planned != uses.used + uses.missing + uses.to_come) __builtin_trap();
  return 0;
}
