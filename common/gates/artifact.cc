#include "common/gates/artifact.h"

#include <string>
#include <utility>

#include "common/base/text.h"
#include "common/base/utf8.h"

namespace attune::gates {
namespace {

constexpr int kMaxDeciding = 10;
constexpr size_t kMaxTextBytes = 500;

// value must not exceed limit, or with `least` not be below it.
v1::GateResult LimitGate(const std::string& gate, const std::string& name, double value,
                         double limit, bool least, const std::string& unit) {
  v1::GateResult result;
  result.set_gate(gate);
  result.set_name(name);
  result.set_value(value);
  result.set_lower(value);
  result.set_upper(value);
  result.set_bound(limit);
  result.set_method("measured");
  if (!(value > 0)) {
    result.set_verdict(v1::GateReport::INCONCLUSIVE);
    result.set_explanation(name + " was not measured" +
                           (gate == "latency" ? ": no suite or smoke prompt generates" : ""));
    return result;
  }
  const bool within = least ? value >= limit : value <= limit;
  result.set_verdict(within ? v1::GateReport::PASSED : v1::GateReport::FAILED);
  result.set_explanation(name + " " + ShortNumber(value) + " " + unit +
                         (least ? ", at least " : ", at most ") + ShortNumber(limit) +
                         " is asked for");
  return result;
}

}  // namespace

Result<std::vector<v1::GateResult>> SmokeGates(const v1::GateFacts& facts) {
  if (facts.candidate().smoke_size() != facts.spec().smoke_size()) {
    return InvalidArgument("the candidate's evaluation has " +
                           std::to_string(facts.candidate().smoke_size()) + " answers to the " +
                           CountOf(facts.spec().smoke_size(), "smoke prompt") + " of the spec");
  }
  if (facts.spec().smoke().empty()) return std::vector<v1::GateResult>();
  v1::GateResult result;
  result.set_gate("smoke");
  result.set_name("smoke prompts");
  result.set_method("patterns");
  int passed = 0;
  std::string first;
  for (const v1::SmokeFacts& smoke : facts.candidate().smoke()) {
    if (smoke.passed()) {
      ++passed;
      continue;
    }
    if (first.empty())
      first = "\"" + Shorten(smoke.prompt(), 80) + "\": " + Shorten(smoke.why(), 200);
    if (result.deciding_size() == kMaxDeciding) continue;
    v1::DecidingExample* example = result.add_deciding();
    example->set_prompt(Shorten(smoke.prompt(), kMaxTextBytes));
    example->set_answer(Shorten(smoke.answer(), kMaxTextBytes));
    example->set_reference(Shorten(smoke.why(), kMaxTextBytes));
  }
  const int all = facts.candidate().smoke_size();
  result.set_examples(static_cast<uint64_t>(all));
  result.set_value(passed);
  result.set_lower(passed);
  result.set_upper(passed);
  result.set_bound(all);
  result.set_verdict(passed == all ? v1::GateReport::PASSED : v1::GateReport::FAILED);
  result.set_explanation(std::to_string(passed) + " of " +
                         CountOf(static_cast<uint64_t>(all), "smoke prompt") + " answered well" +
                         (first.empty() ? "" : "; not " + first));
  return std::vector<v1::GateResult>{std::move(result)};
}

std::vector<v1::GateResult> LimitGates(const v1::ArtifactLimits& limits,
                                       const v1::ArtifactFacts& artifact) {
  std::vector<v1::GateResult> results;
  if (limits.bytes_max() > 0) {
    results.push_back(LimitGate("size", "artifact", static_cast<double>(artifact.bytes()),
                                static_cast<double>(limits.bytes_max()), false, "bytes"));
  }
  if (limits.first_token_seconds_max() > 0) {
    results.push_back(LimitGate("latency", "first token", artifact.first_token_seconds(),
                                limits.first_token_seconds_max(), false, "s"));
  }
  if (limits.tokens_per_second_min() > 0) {
    results.push_back(LimitGate("latency", "speed", artifact.tokens_per_second(),
                                limits.tokens_per_second_min(), true, "tokens/s"));
  }
  return results;
}

std::string MeasuredIn(const v1::ArtifactFacts& artifact) {
  return artifact.precision().empty() ? "" : artifact.precision() + " on " + artifact.device();
}

std::vector<v1::GateResult> AlikeGates(const v1::GateFacts& facts) {
  const v1::ArtifactFacts &candidate = facts.candidate().artifact(),
                          &champion = facts.champion().artifact();
  if (candidate.precision() == champion.precision()) return {};
  v1::GateResult result;
  result.set_gate("alike");
  result.set_name("precision");
  result.set_verdict(v1::GateReport::INCONCLUSIVE);
  auto said = [](const v1::ArtifactFacts& artifact) {
    const std::string measured = MeasuredIn(artifact);
    return measured.empty() ? "a precision that an older worker did not say" : measured;
  };
  result.set_explanation("the candidate was measured in " + said(candidate) + ", the champion in " +
                         said(champion) +
                         ": what differs may be rounding; measure both on slots of one kind, or "
                         "set gates.dtype");
  return {std::move(result)};
}

}  // namespace attune::gates
