#pragma once

// The gates over examples: goals, the champion, retention of skills. Each names its verdict by one
// rule: FAILED when the estimate is beyond its limit, PASSED when the one-sided bound at the gate's
// confidence is within it too, else INCONCLUSIVE.

#include <optional>
#include <string>
#include <vector>

#include "attune/v1/gates.pb.h"
#include "common/base/status.h"
#include "common/gates/suites.h"

namespace attune::gates {

// One result for each bound that the goal sets.
Result<std::vector<v1::GateResult>> GoalGates(const Suites& suites, const v1::Goal& goal,
                                              const v1::GatesSpec& spec);

// has_champion false: passes.
Result<v1::GateResult> ChampionGate(const Suites& suites, const v1::GatesSpec& spec,
                                    bool has_champion);

struct RetentionResult {
  v1::GateResult gate;
  std::optional<v1::SkillChange> skill;  // none without a champion
};
Result<RetentionResult> RetentionGate(const Suites& suites, const v1::Retention& retention,
                                      const v1::GatesSpec& spec, bool has_champion);

}  // namespace attune::gates
