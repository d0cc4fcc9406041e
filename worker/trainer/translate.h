#pragma once

// The contract's messages as the engine's structs, and back. Pure.

#include <string>

#include "attune/v1/trainer.pb.h"
#include "worker/engine/engine.h"
#include "worker/trainer/judge.h"

namespace attune::trainer {

// What a trainer knows that its tasks do not say.
struct Place {
  std::string device = "cpu";
  int threads = 0;           // where a job leaves it open
  int64_t memory_limit = 0;  // bytes that a rank may use; 0: what its device or host has
  JudgeCommands judges = {};
};

engine::ModelFiles ToModelFiles(const v1::ModelFiles& files);
engine::PrepareTask ToPrepareTask(const v1::TrainerTask& task, const Place& place);
engine::TrainTask ToTrainTask(const v1::TrainerTask& task, const Place& place);
engine::GenerateTask ToGenerateTask(const v1::TrainerTask& task, const Place& place);
engine::ExportTask ToExportTask(const v1::TrainerTask& task);
engine::EvaluateTask ToEvaluateTask(const v1::TrainerTask& task, const Place& place);
engine::EmbedTask ToEmbedTask(const v1::TrainerTask& task, const Place& place);
engine::Membership ToMembership(const v1::TrainerTask& task, const Place& place);

v1::MetricPoint ToMetricPoint(const engine::StepReport& step, const v1::TrainerTask& task);
v1::MetricPoint ToMetricPoint(const engine::EvaluationReport& evaluation,
                              const v1::TrainerTask& task);
// One JSON object: the fields of engine::PlanResult, memory per rank, and ranks.
std::string ToPlanJson(const engine::PlanResult& plan, int ranks);

// INVALID for the user's input and damaged files, NO_MEMORY for a run that cannot fit, PEER_LOST,
// NO_SPACE, unspecified for a stop that was asked for, else INTERNAL.
v1::TaskFailed::Kind ToFailureKind(const Status& status);

}  // namespace attune::trainer
