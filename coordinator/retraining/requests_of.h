#pragma once

// What an update asks of the job controller: pure functions of its record.

#include <string>

#include "attune/v1/evaluation.pb.h"
#include "attune/v1/job_spec.pb.h"
#include "attune/v1/jobs.pb.h"
#include "coordinator/retraining/repository.h"

namespace attune::retraining {

// The job that trains the candidate: base is the champion (or the spec's), the data sets are those
// of the update with replay at its share, the seed is the update's number.
v1::JobSpec TrainingSpec(const UpdateRecord& record);

// What candidate and champion are measured on, but for the versions of its data sets: suite "goal"
// on goal_dataset, one for each retention skill, the smoke prompts. Without the model.
v1::EvaluateRequest EvaluationOf(const UpdateRecord& record, const std::string& goal_dataset);

// A gate compares with the champion.
bool NeedsChampion(const v1::GatesSpec& gates);

// Slots times hours that a job which ended took.
double HoursOf(const v1::Job& job);

// "name@version" out of its parts, and back.
std::string Reference(const std::string& name, uint32_t version);
uint32_t VersionOf(const std::string& reference);  // 0: none

}  // namespace attune::retraining
