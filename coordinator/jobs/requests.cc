// What users ask of the controller.

#include "coordinator/store/requests.h"

#include <algorithm>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/base/text.h"
#include "common/log/log.h"
#include "common/spec/job_spec.h"
#include "coordinator/jobs/adapters.h"
#include "coordinator/jobs/checkpoints.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/evaluation_checks.h"
#include "coordinator/jobs/reference.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"

namespace attune::jobs {
namespace {

constexpr size_t kSpecSourceBytesMax = 1 << 20;
constexpr int kPromptsMax = 10'000;
constexpr uint32_t kBatchMax = 1024;
constexpr int kStopsMax = 16;
constexpr size_t kStopBytesMax = 1000;
// Documented in docs/datasets.md. Preparing would find it too
// (worker/engine/data/prepared_counts.h), but only with the job's slots taken.
constexpr double kUnusableShareMax = 0.05;

// Empty is the default.
Status CheckOneOf(const char* field, const std::string& value,
                  std::initializer_list<const char*> allowed) {
  if (value.empty()) return Status();
  std::string names;
  for (const char* name : allowed) {
    if (value == name) return Status();
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return InvalidArgument(std::string(field) + " must be one of " + names + ", not '" + value + "'")
      .WithField(field);
}

Status CheckGenerate(const v1::GenerateRequest& request) {
  const int prompts = request.prompts_size() + request.inputs_size();
  if (prompts == 0) {
    return InvalidArgument("generate needs at least one prompt").WithField("prompts");
  }
  if (prompts > kPromptsMax) {
    return InvalidArgument("generate takes at most " + std::to_string(kPromptsMax) +
                           " prompts, not " + std::to_string(prompts))
        .WithField("prompts");
  }
  if (request.max_tokens() == 0) {
    return InvalidArgument("max_tokens must be at least 1").WithField("max_tokens");
  }
  if (!(request.temperature() >= 0)) {
    return InvalidArgument("temperature must be 0 or more").WithField("temperature");
  }
  if (request.batch() > kBatchMax) {
    return InvalidArgument("batch must be at most " + std::to_string(kBatchMax)).WithField("batch");
  }
  if (request.stop_size() > kStopsMax) {
    return InvalidArgument("generate takes at most " + std::to_string(kStopsMax) + " stop texts")
        .WithField("stop");
  }
  for (const std::string& stop : request.stop()) {
    if (!stop.empty() && stop.size() <= kStopBytesMax) continue;
    return InvalidArgument("a stop text must have 1 to " + std::to_string(kStopBytesMax) + " bytes")
        .WithField("stop");
  }
  return CheckOneOf("precision", request.precision(), {"float32", "bfloat16"});
}

Status CheckExport(const v1::ExportRequest& request) {
  if (!std::filesystem::path(request.folder()).is_absolute()) {
    return InvalidArgument("folder must be an absolute path, not '" + request.folder() + "'")
        .WithField("folder");
  }
  return CheckOneOf("dtype", request.dtype(), {"float32", "bfloat16", "float16"});
}

std::string ModelOf(const v1::Job& job) {
  switch (job.kind()) {
    case v1::Job::GENERATE:
      return job.task().generate().model();
    case v1::Job::EXPORT:
      return job.task().export_().model();
    case v1::Job::EVALUATE:
      return job.task().evaluate().model();
    case v1::Job::EMBED:
      return job.task().embed().model();
    default:
      return job.spec().base();
  }
}

// What a split is when the request leaves it open.
void FillInSplits(v1::TaskRequest* task) {
  if (task->has_evaluate()) {
    for (v1::Suite& suite : *task->mutable_evaluate()->mutable_suites()) {
      if (suite.split().empty()) suite.set_split("validation");
    }
  }
  if (task->has_embed() && task->embed().split().empty()) task->mutable_embed()->set_split("all");
}

// Whether a task learns from pairs of answers; the others leave them out.
bool TakesPairs(const v1::JobSpec& spec) {
  return spec.task().type() == "preference" || spec.task().type() == "embedding";
}

Status CheckPreferencePairs(const v1::DatasetVersion& version) {
  const auto pairs = version.kinds().find("preference");
  if (pairs == version.kinds().end()) return Status();
  uint64_t examples = 0;
  for (const auto& [kind, count] : version.kinds()) examples += count;
  if (static_cast<double>(pairs->second) <= kUnusableShareMax * static_cast<double>(examples)) {
    return Status();
  }
  return InvalidArgument("dataset " + Reference(version.name(), version.version()) + ": " +
                         std::to_string(pairs->second) + " of the " + std::to_string(examples) +
                         " examples cannot be used (5 % may be left out); they are preference " +
                         "pairs: only task: preference learns from them")
      .WithField("dataset");
}

Status CheckTrainData(const v1::DatasetVersion& version, const v1::JobSpec& spec) {
  if (!TakesPairs(spec) && version.shape() == "preference") {
    return InvalidArgument("dataset " + Reference(version.name(), version.version()) +
                           " has only preference pairs: only task: preference learns from them")
        .WithField("dataset");
  }
  if (!TakesPairs(spec)) ATTUNE_RETURN_IF_ERROR(CheckPreferencePairs(version));
  auto train = version.examples().find("train");
  if (train != version.examples().end() && train->second > 0) return Status();
  std::string message =
      "dataset " + Reference(version.name(), version.version()) + " has no example to train on";
  if (version.unlabelled() > 0) {
    message += ": " + std::to_string(version.unlabelled()) +
               " of its rows have no answer; import rows that have one";
  } else {
    message += ": all are kept for validation; import it with a smaller --validation";
  }
  return InvalidArgument(message).WithField("dataset");
}

}  // namespace

Result<std::optional<v1::Job>> Controller::EarlierAnswer(const RequestKey& key) {
  std::optional<std::string> bytes;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) {
    ATTUNE_ASSIGN_OR_RETURN(bytes, FindRequest(transaction, key.id, key.method, key.content));
    return Status();
  }));
  if (!bytes) return std::optional<v1::Job>();
  v1::Job job;
  if (!job.ParseFromString(*bytes)) return DataLoss("a stored answer cannot be read");
  return std::optional<v1::Job>(std::move(job));
}

Status Controller::ResolveInputs(v1::Job* job) {
  auto model = ports_.artifacts->GetModel(ModelOf(*job));
  if (!model.ok()) return Status(model.status()).WithField("base");
  job->set_base(Reference(model->name(), model->version()));
  if (job->kind() == v1::Job::GENERATE) {
    ATTUNE_RETURN_IF_ERROR(PinAdapters(*ports_.artifacts, *model, job));
  }
  const auto add = [&](const std::string& name) -> Result<v1::DatasetVersion> {
    auto dataset = ports_.artifacts->GetDataset(name);
    if (!dataset.ok()) return Status(dataset.status()).WithField("dataset");
    job->add_datasets(Reference(dataset->name(), dataset->version()));
    return dataset;
  };
  for (const v1::DatasetRef& dataset : job->spec().datasets()) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::DatasetVersion version, add(dataset.name()));
    ATTUNE_RETURN_IF_ERROR(CheckTrainData(version, job->spec()));
  }
  for (const v1::Suite& suite : job->task().evaluate().suites()) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::DatasetVersion dataset, add(suite.dataset()));
    ATTUNE_RETURN_IF_ERROR(CheckSuiteData(suite, dataset));
  }
  if (job->kind() == v1::Job::EMBED) {
    ATTUNE_ASSIGN_OR_RETURN(const v1::DatasetVersion dataset, add(job->task().embed().dataset()));
    ATTUNE_RETURN_IF_ERROR(CheckEmbedData(job->task().embed(), dataset));
  }
  return Status();
}

Status Controller::CheckRanks(const v1::Job& job) {
  if (nodes_.empty()) return Status();  // no worker has ever come: it may wait for the first
  uint32_t total = 0;
  for (const auto& [name, entry] : nodes_.entries()) total += entry.lost ? 0 : entry.node.slots();
  if (total == 0) return Status();  // all away for the moment
  uint32_t wanted = RanksOf(job).min();
  if (wanted <= total) return Status();
  return FailedPrecondition("the job needs " + CountOf(wanted, "slot") + ", but the cluster has " +
                            std::to_string(total) +
                            " in total: ask for fewer ranks or start more workers")
      .WithField("ranks");
}

Status Controller::CheckSubmit(const v1::SubmitJobRequest& request, v1::Job* job) {
  job->set_kind(request.kind() == v1::Job::KIND_UNSPECIFIED ? v1::Job::TRAIN : request.kind());
  if (request.spec_source().size() > kSpecSourceBytesMax) {
    return InvalidArgument("the spec's text is larger than 1 MiB").WithField("spec_source");
  }
  switch (job->kind()) {
    case v1::Job::TRAIN:
    case v1::Job::PLAN:
      if (!request.has_spec()) return InvalidArgument("a job needs a spec").WithField("spec");
      ATTUNE_RETURN_IF_ERROR(spec::ValidateJobSpec(request.spec()));
      *job->mutable_spec() = request.spec();
      job->set_name(request.spec().name().empty() ? "job" : request.spec().name());
      break;
    case v1::Job::GENERATE:
      ATTUNE_RETURN_IF_ERROR(CheckGenerate(request.task().generate()));
      job->set_name("generate");
      break;
    case v1::Job::EXPORT:
      ATTUNE_RETURN_IF_ERROR(CheckExport(request.task().export_()));
      job->set_name("export");
      break;
    case v1::Job::EVALUATE:
      ATTUNE_RETURN_IF_ERROR(CheckEvaluate(request.task().evaluate()));
      job->set_name("evaluate");
      break;
    case v1::Job::EMBED:
      ATTUNE_RETURN_IF_ERROR(CheckEmbed(request.task().embed()));
      job->set_name("embed");
      break;
    default:
      return InvalidArgument("unknown kind of job").WithField("kind");
  }
  if (!IsValidName(job->name())) {
    return InvalidArgument("name '" + job->name() +
                           "' must be 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with a "
                           "letter or digit")
        .WithField("name");
  }
  if (request.has_task()) *job->mutable_task() = request.task();
  FillInSplits(job->mutable_task());
  job->set_update(request.update());
  ATTUNE_RETURN_IF_ERROR(ResolveInputs(job));
  return CheckRanks(*job);
}

Result<v1::Job> Controller::Submit(const v1::SubmitJobRequest& request) {
  const RequestKey key{request.request_id(), "SubmitJob", request.SerializeAsString()};
  ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::Job> earlier, EarlierAnswer(key));
  if (earlier) return *earlier;
  OpenJob open;
  JobRecord& record = open.record;
  ATTUNE_RETURN_IF_ERROR(CheckSubmit(request, &record.job));
  const TimePoint now = ports_.clock->Now();
  record.job.set_id(NewId("job"));
  record.job.set_state(v1::Job::QUEUED);
  record.job.set_reason(nodes_.empty() ? "waits for the first worker to join" : "waits for slots");
  SetTimestamp(record.job.mutable_created(), now);
  record.spec_source = request.spec_source();
  record.queued = now;
  Change change;
  change.record = record;
  change.request = key;
  change.events.push_back({"submitted", "submitted as " + record.job.name()});
  // One may have been deleted since they were looked up.
  change.check = [this](Transaction& transaction, const JobRecord& submitted) {
    for (const std::string& dataset : submitted.job.datasets()) {
      const Status there = ports_.artifacts->CheckDataset(transaction, dataset);
      if (!there.ok()) return Status(there).WithField("dataset");
    }
    return Status();
  };
  change.also = [](Transaction& transaction, JobRecord* inserted) {
    InsertJob(transaction, inserted);
    return Status();
  };
  const std::string id = record.job.id();
  jobs_.emplace(id, std::move(open));
  Status status = Commit(std::move(change));
  if (!status.ok()) {
    jobs_.erase(id);
    return status;
  }
  return WithoutTask(jobs_.at(id).record.job);
}

// Finds the job, acts, and answers with the job afterwards. event: what the act means, for the
// error when the job has ended already.
Result<v1::Job> Controller::Mutate(const RequestKey& key, const std::string& id_or_name,
                                   JobEvent event, const std::function<Status(OpenJob&)>& act) {
  ATTUNE_ASSIGN_OR_RETURN(std::optional<v1::Job> earlier, EarlierAnswer(key));
  if (earlier) return *earlier;
  Flush();
  v1::Job job;
  const auto load = [&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(job, FindJob(transaction, id_or_name));
    return Status();
  };
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read(load));
  const std::string id = job.id();
  OpenJob* open = FindOpenJob(id);
  if (open == nullptr) {
    ATTUNE_RETURN_IF_ERROR(Next(job.state(), event).status());
    ATTUNE_ASSIGN_OR_RETURN(open, Reopen(id));
  }
  const Status acted = act(*open);
  if (!acted.ok()) {
    if (OpenJob* still = FindOpenJob(id); still && IsFinal(still->record.job.state())) {
      jobs_.erase(id);
    }
    return acted;
  }
  if (OpenJob* still = FindOpenJob(id)) return WithoutTask(still->record.job);
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read(load));
  return WithoutTask(job);
}

// Takes up a job that has ended; the caller gives it another state.
Result<Controller::OpenJob*> Controller::Reopen(const std::string& id) {
  OpenJob job;
  ATTUNE_RETURN_IF_ERROR(ports_.database->Read([&](Transaction& transaction) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(job.record, LoadJob(transaction, id));
    return Status();
  }));
  return &jobs_.emplace(id, std::move(job)).first->second;
}

Result<v1::Job> Controller::Cancel(const v1::CancelJobRequest& request) {
  const RequestKey key{request.request_id(), "CancelJob", request.SerializeAsString()};
  return Mutate(key, request.id(), JobEvent::kCancelled, [&](OpenJob& job) {
    Ending ending;
    ending.event = JobEvent::kCancelled;
    ending.event_type = "ended";
    ending.reason = request.reason().empty() ? "cancelled" : "cancelled: " + request.reason();
    ending.request = key;
    return EndAttempt(job, std::move(ending));
  });
}

Result<v1::Job> Controller::Pause(const v1::PauseJobRequest& request) {
  const RequestKey key{request.request_id(), "PauseJob", request.SerializeAsString()};
  return Mutate(key, request.id(), JobEvent::kPaused, [&](OpenJob& job) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(v1::Job::State next, Next(job.record.job.state(), JobEvent::kPaused));
    (void)next;
    if (job.record.phase == Phase::kRegistering) {
      return FailedPrecondition("the job is done and being registered; it cannot be paused");
    }
    if (job.record.phase == Phase::kWorking) return PauseActive(job, key);
    Ending ending = PauseEnding(job.record, "paused by the user");
    ending.orderly = true;
    ending.request = key;
    return EndAttempt(job, std::move(ending));
  });
}

Result<v1::Job> Controller::Resume(const v1::ResumeJobRequest& request) {
  const RequestKey key{request.request_id(), "ResumeJob", request.SerializeAsString()};
  return Mutate(key, request.id(), JobEvent::kResumed, [&](OpenJob& job) {
    if (job.record.pause_requested) return ResumePausing(job, key);
    Change change;
    change.record = job.record;
    ATTUNE_RETURN_IF_ERROR(ApplyEvent(&change.record, JobEvent::kResumed, "waits for slots"));
    change.record.pause_cause = PauseCause::kNone;
    change.record.not_before = TimePoint();
    ForgetLost(&change.record.job);
    std::string message = "resumed by the user";
    const bool had_one = IsFinal(job.record.job.state()) && job.record.checkpoint_step > 0;
    if (had_one && !HasCheckpoint(CheckpointFolder(job.record))) {
      message += "; it starts from step 0, as its checkpoints were removed";
      change.record.checkpoint_step = 0;
      change.record.job.set_step(0);
    }
    change.events.push_back({"resumed", message});
    change.request = key;
    return Commit(std::move(change));
  });
}

std::vector<v1::Node> Controller::Nodes() {
  const Time now = Now();
  std::vector<v1::Node> nodes;
  for (const auto& [name, entry] : nodes_.entries()) {
    v1::Node node = entry.node;
    node.set_state(entry.lost || !entry.registered ? v1::Node::LOST
                   : entry.trouble.empty()         ? v1::Node::READY
                                                   : v1::Node::NOT_READY);
    node.set_not_ready(entry.trouble);
    SetTimestamp(node.mutable_last_heartbeat(), ports_.clock->Now() - nodes_.Silence(name, now));
    uint32_t used = 0;
    for (const auto& [id, trainer] : trainers_) used += trainer.record.node == name ? 1 : 0;
    node.set_slots_used(used);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace attune::jobs
