// Any bytes are facts or an error, and facts that fit together have one verdict, whose numbers are
// numbers. The first byte says whether the rest is a file of facts or lines of an evaluation.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/gates/facts.h"
#include "common/gates/gates.h"
#include "common/gates/lines.h"

namespace {

using namespace attune;

void Decided(std::string_view bytes) {
  auto facts = gates::ParseFacts(bytes);
  if (!facts.ok()) return;
  auto report = gates::Decide(*facts);
  if (!report.ok()) {
    ATTUNE_CHECK(!report.status().message().empty());
    return;
  }
  ATTUNE_CHECK(report->verdict() != v1::GateReport::VERDICT_UNSPECIFIED);
  ATTUNE_CHECK(report->gates_size() > 0 && !report->summary().empty());
  for (const v1::GateResult& gate : report->gates()) {
    ATTUNE_CHECK(std::isfinite(gate.value()) && std::isfinite(gate.lower()) &&
                 std::isfinite(gate.upper()));
    ATTUNE_CHECK(gate.deciding_size() <= 10);
  }
  auto again = gates::ParseFacts(gates::SerializeFacts(*facts));
  ATTUNE_CHECK(again.ok());
  ATTUNE_CHECK(gates::Decide(*again)->SerializeAsString() == report->SerializeAsString());
}

void Read(std::string_view text) {
  v1::EvaluateRequest request;
  v1::Suite* suite = request.add_suites();
  suite->set_name("goal");
  suite->add_metrics()->set_name("exact_match");
  gates::FactsReader reader("m@1", "job-fuzz", request);
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() == text.size() ? text.size() : line.size() + 1);
    if (!reader.AddLine(line).ok()) break;
  }
  auto facts = reader.Finish();
  if (facts.ok()) ATTUNE_CHECK(facts->examples_size() > 0 && facts->has_artifact());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  data[0] % 2 == 0 ? Decided(rest) : Read(rest);
  return 0;
}
