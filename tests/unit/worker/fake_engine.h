#pragma once

// The engine's functions as a test wants them: each calls its hook.

#include <functional>

#include "worker/engine/engine.h"
#include "worker/engine/evaluation.h"

namespace attune::testing {

struct FakeEngine {
  std::function<Result<engine::PrepareResult>(const engine::PrepareTask&, engine::Observer&)>
      prepare;
  std::function<Result<engine::TrainResult>(const engine::TrainTask&, const engine::Membership&,
                                            engine::KeyValueStore*, engine::Observer&)>
      train;
  std::function<Result<engine::PlanResult>(const engine::TrainTask&, int, engine::Observer&)> plan;
  std::function<Status(const engine::GenerateTask&, engine::Observer&)> generate;
  std::function<Status(const engine::ExportTask&, engine::Observer&)> export_model;
  std::function<Status(const engine::EvaluateTask&, engine::Observer&)> evaluate;
  std::function<Status(const engine::EmbedTask&, engine::Observer&)> embed;
};

// The one that the engine's functions use; set before tasks run.
FakeEngine& TheFakeEngine();

}  // namespace attune::testing
