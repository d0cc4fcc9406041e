#include "coordinator/jobs/tasks.h"

#include <algorithm>

namespace attune::jobs {
namespace {

constexpr uint32_t kMaxRestartsDefault = 3;

v1::TrainerTask MakeTask(const JobRecord& record, const TaskFiles& files,
                         const std::string& storage, uint32_t rank, const std::string& task_id) {
  const v1::Job& job = record.job;
  v1::TrainerTask task;
  task.set_task_id(task_id);
  task.set_job_id(job.id());
  task.set_generation(job.generation());
  task.set_rank(rank);
  task.set_world_size(job.ranks());
  *task.mutable_spec() = job.spec();
  *task.mutable_base() = files.base;
  for (const v1::DatasetFiles& dataset : files.datasets) *task.add_datasets() = dataset;
  for (const v1::ModelFiles& adapter : files.adapters) *task.add_adapters() = adapter;
  task.set_token_cache(storage + "/cache/tokens");
  task.set_run_directory(storage + "/runs/" + job.id());
  return task;
}

const char* KindName(v1::Job::Kind kind) {
  switch (kind) {
    case v1::Job::PLAN:
      return "plan";
    case v1::Job::GENERATE:
      return "generate";
    case v1::Job::EXPORT:
      return "export";
    case v1::Job::EVALUATE:
      return "evaluate";
    case v1::Job::EMBED:
      return "embed";
    default:
      return "train";
  }
}

}  // namespace

bool NeedsPrepare(v1::Job::Kind kind) {
  return kind == v1::Job::TRAIN || kind == v1::Job::PLAN;
}

std::string PrepareTaskId(const JobRecord& record) {
  return RunName(record.job.id(), record.job.generation()) + "-prepare";
}

std::string MainTaskId(const JobRecord& record) {
  return RunName(record.job.id(), record.job.generation()) + "-" + KindName(record.job.kind());
}

v1::TrainerTask MakePrepareTask(const JobRecord& record, const TaskFiles& files,
                                const std::string& storage, uint32_t rank) {
  v1::TrainerTask task = MakeTask(record, files, storage, rank, PrepareTaskId(record));
  task.mutable_prepare();
  // Whoever asks for a plan is told what is wrong with the data, all at once.
  if (record.job.kind() == v1::Job::PLAN) {
    task.mutable_spec()->mutable_train()->set_require_end(false);
  }
  return task;
}

v1::TrainerTask MakeMainTask(const JobRecord& record, const TaskFiles& files,
                             const std::string& storage, uint32_t rank) {
  v1::TrainerTask task = MakeTask(record, files, storage, rank, MainTaskId(record));
  switch (record.job.kind()) {
    case v1::Job::PLAN:
      task.mutable_plan()->set_ranks(std::max(1u, record.job.spec().ranks().max()));
      break;
    case v1::Job::GENERATE:
      *task.mutable_generate() = record.job.task().generate();
      break;
    case v1::Job::EXPORT:
      *task.mutable_export_() = record.job.task().export_();
      break;
    case v1::Job::EVALUATE:
      *task.mutable_evaluate() = record.job.task().evaluate();
      break;
    case v1::Job::EMBED:
      *task.mutable_embed() = record.job.task().embed();
      break;
    default:
      task.mutable_train();
      break;
  }
  return task;
}

uint32_t MaxRestarts(const v1::JobSpec& spec) {
  return spec.has_retry() ? spec.retry().max_restarts() : kMaxRestartsDefault;
}

v1::RanksSpec RanksOf(const v1::Job& job) {
  v1::RanksSpec ranks;
  ranks.set_min(1);
  ranks.set_max(1);
  if (job.kind() == v1::Job::TRAIN) {
    ranks.set_min(std::max(1u, job.spec().ranks().min()));
    ranks.set_max(std::max(ranks.min(), job.spec().ranks().max()));
  }
  return ranks;
}

}  // namespace attune::jobs
