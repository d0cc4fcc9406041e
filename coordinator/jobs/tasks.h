#pragma once

// What the trainers of an attempt are told to do: pure functions of the job.

#include <string>

#include "attune/v1/trainer.pb.h"
#include "coordinator/jobs/record.h"

namespace attune::jobs {

// Files resolved from the job's references.
struct TaskFiles {
  v1::ModelFiles base;
  std::vector<v1::ModelFiles> adapters;
  std::vector<v1::DatasetFiles> datasets;
};

// True for kinds that tokenize first.
bool NeedsPrepare(v1::Job::Kind kind);
std::string PrepareTaskId(const JobRecord& record);
std::string MainTaskId(const JobRecord& record);

v1::TrainerTask MakePrepareTask(const JobRecord& record, const TaskFiles& files,
                                const std::string& storage, uint32_t rank);
v1::TrainerTask MakeMainTask(const JobRecord& record, const TaskFiles& files,
                             const std::string& storage, uint32_t rank);

// The spec's budget, or the default where a spec has none.
uint32_t MaxRestarts(const v1::JobSpec& spec);
// Ranks that the job asks for; 1 to 1 for all but TRAIN.
v1::RanksSpec RanksOf(const v1::Job& job);

}  // namespace attune::jobs
