#include "worker/engine/tasks/admit_run.h"

#include <nlohmann/json.hpp>

#include "worker/engine/checkpoint/checkpoint.h"
#include "worker/engine/parallel/device_memory.h"
#include "worker/engine/tasks/admission.h"

namespace attune::engine {
namespace {

using nlohmann::json;

// Rank 0 walks an epoch of the plan, the others wait.
constexpr std::chrono::minutes kWalkSlack{30};

json ToJson(const std::vector<MemoryPool>& pools) {
  json out = json::array();
  for (const MemoryPool& pool : pools) out.push_back({pool.id, pool.name, pool.bytes});
  return out;
}

std::vector<MemoryPool> ToPools(const json& value) {
  std::vector<MemoryPool> pools;
  for (const json& pool : value) {
    pools.push_back({.id = pool.at(0).get<std::string>(),
                     .name = pool.at(1).get<std::string>(),
                     .bytes = pool.at(2).get<int64_t>()});
  }
  return pools;
}

// By rank.
Result<std::vector<std::vector<MemoryPool>>> GatherPools(Group& group) {
  const json mine = ToJson(PoolsOf(group.membership(), group.device()));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> all,
                          group.Gather(mine.dump(-1, ' ', false, json::error_handler_t::replace)));
  std::vector<std::vector<MemoryPool>> pools;
  for (const std::string& text : all) pools.push_back(ToPools(json::parse(text)));
  return pools;
}

Result<Admission> Decide(const TrainTask& task, const PreparedData& data, const StepPlan& plan,
                         std::vector<std::vector<MemoryPool>> pools, bool gpu, Observer& observer) {
  ATTUNE_ASSIGN_OR_RETURN(const ModelConfig config, ReadTrainedConfig(task));
  LargestBatches batches(*data.train, task.data.train.micro_batch, static_cast<int>(pools.size()),
                         VirtualTokens(task));
  // A stop is acted on after the first step, as any other; until then what was seen has to do.
  AddFirstEpoch(
      plan, [&] { return observer.ShouldStop() != StopRequest::kNone; }, batches);
  return Admit(
      {.task = task, .config = config, .batches = batches, .pools = std::move(pools), .gpu = gpu});
}

// What rank 0 tells the others: the need, or an error.
json Tell(const TrainTask& task, const Result<Admission>& decided, Observer& observer) {
  if (!decided.ok()) {
    const Status& status = decided.status();
    return {{"code", static_cast<int>(status.code())},
            {"message", status.message()},
            {"field", status.field()}};
  }
  const json fits = {{"need", decided->need.total()}};
  if (decided->verdict == Admission::Verdict::kFits) return fits;
  // What ran before may run again, whatever is predicted.
  const Result<bool> begun =
      task.resume_from.empty() ? Result<bool>(false) : HasCheckpoint(task.resume_from);
  const bool resumes = !begun.ok() || *begun;  // what cannot be read now is told of later
  if (!resumes && decided->verdict == Admission::Verdict::kCannotFit) {
    return {{"code", static_cast<int>(StatusCode::kInvalidArgument)},
            {"message", decided->message},
            {"field", decided->field}};
  }
  observer.OnWarning("memory may not suffice: " + decided->message);
  return fits;
}

}  // namespace

Result<int64_t> AdmitRun(const TrainTask& task, const PreparedData& data, const StepPlan& plan,
                         Group& group, Observer& observer) {
  ATTUNE_ASSIGN_OR_RETURN(auto pools, GatherPools(group));
  json told;
  if (group.rank() == 0) {
    const bool gpu = group.device().is_cuda();
    told = Tell(task, Decide(task, data, plan, std::move(pools), gpu, observer), observer);
  }
  ATTUNE_ASSIGN_OR_RETURN(
      const std::string text,
      group.FromFirst(told.dump(-1, ' ', false, json::error_handler_t::replace), kWalkSlack));
  told = json::parse(text);
  if (told.contains("need")) return told.at("need").get<int64_t>();
  return Status(static_cast<StatusCode>(told.at("code").get<int>()),
                told.at("message").get<std::string>())
      .WithField(told.at("field").get<std::string>());
}

}  // namespace attune::engine
