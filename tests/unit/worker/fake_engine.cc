#include "tests/unit/worker/fake_engine.h"

namespace attune::testing {

FakeEngine& TheFakeEngine() {
  static FakeEngine engine;
  return engine;
}

}  // namespace attune::testing

namespace attune::engine {

Status CheckTeaches(const PrepareTask&) {
  return Status();
}
Result<PrepareResult> Prepare(const PrepareTask& task, Observer& observer) {
  return attune::testing::TheFakeEngine().prepare(task, observer);
}
Result<TrainResult> Train(const TrainTask& task, const Membership& membership, KeyValueStore* store,
                          Observer& observer) {
  return attune::testing::TheFakeEngine().train(task, membership, store, observer);
}
Result<PlanResult> Plan(const TrainTask& task, int world_size, Observer& observer,
                        const std::string& device) {
  return attune::testing::TheFakeEngine().plan(task, world_size, observer);
}
Status Generate(const GenerateTask& task, Observer& observer) {
  return attune::testing::TheFakeEngine().generate(task, observer);
}
Status Export(const ExportTask& task, Observer& observer) {
  return attune::testing::TheFakeEngine().export_model(task, observer);
}
Status Evaluate(const EvaluateTask& task, Observer& observer) {
  return attune::testing::TheFakeEngine().evaluate(task, observer);
}
Status Embed(const EmbedTask& task, Observer& observer) {
  return attune::testing::TheFakeEngine().embed(task, observer);
}

}  // namespace attune::engine
