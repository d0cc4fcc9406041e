#pragma once

// A run's plan held against what its attempts fed to the model. Pure.
//
// A step counts as the final model has it: from the last attempt back, each attempt's steps after
// the checkpoint that it resumed from, then those of the attempt that wrote that checkpoint, up to
// it. What an attempt applied beyond the checkpoint that the next one took was lost with it and
// done again; it is listed and does not count.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/ledger/plan_file.h"
#include "common/ledger/step_log.h"

namespace attune::ledger {

// Uses of examples; an example that an epoch has twice is used twice in it.
struct Uses {
  uint64_t planned = 0;
  uint64_t used = 0;      // in steps that were applied once and had exactly the examples planned
  uint64_t missing = 0;   // in steps that were not applied, or had other examples than planned
  uint64_t repeated = 0;  // fed more often than planned
  uint64_t to_come = 0;   // in steps that an unfinished run has still to take
};

struct EpochUses {
  uint32_t epoch = 0;  // from 1
  uint64_t examples = 0;
  Uses uses;  // planned is below examples where the run ends within the epoch
};

// Consecutive steps of one attempt.
struct StepSpan {
  uint32_t generation = 0, ranks = 0;
  uint32_t first = 0, last = 0;
  bool kept = false;  // the final model has them
};

struct StepProblem {
  enum class Kind {
    kLost,       // a step that no attempt of the final model has applied
    kRepeated,   // applied more than once
    kDiffers,    // with other examples than planned
    kUnplanned,  // one that the plan does not have
    kOtherPlan,  // of an attempt that worked on another plan (step 0)
  };
  Kind kind = Kind::kLost;
  uint32_t step = 0, generation = 0;  // generation 0: none
  ExampleSum planned, applied;
};

enum class StepVerdict : uint8_t { kToCome, kUsed, kMissing, kRepeated };

struct Comparison {
  Uses uses;
  uint32_t applied_steps = 0;  // the last that the final model has
  std::vector<EpochUses> epochs;
  std::vector<StepSpan> spans;        // by generation and step
  std::vector<StepProblem> problems;  // by step, the first of them
  uint64_t problems_left_out = 0;
  std::vector<StepVerdict> steps;   // of step i + 1
  std::vector<ExampleSum> planned;  // for step i + 1
};

// logs: by generation; the last one's model is the final one. finished: the run has reached its
// end, so that no step is to come.
Comparison Compare(const PlanFile& plan, std::span<const StepLog> logs, bool finished);

// The steps that the final model has, by the generation that applied them: of each, the chain's
// (generation, after this step, up to this step), last attempt first.
struct KeptSteps {
  uint32_t generation = 0, after = 0, up_to = 0;
};
std::vector<KeptSteps> KeptChain(std::span<const StepLog> logs);

struct ListedUse {
  std::string id;  // 32 hexadecimal characters
  uint32_t epoch = 0, step = 0;
};
// At most `limit` planned uses whose step has the verdict, from *place on, which moves on past
// them; 0 is the start. An empty list is the end.
std::vector<ListedUse> List(const PlanFile& plan, const Comparison& comparison, StepVerdict verdict,
                            uint64_t* place, size_t limit);

}  // namespace attune::ledger
