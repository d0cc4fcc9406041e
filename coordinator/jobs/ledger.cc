#include "coordinator/jobs/ledger.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "common/ledger/compare.h"
#include "coordinator/jobs/checkpoints.h"
#include "coordinator/jobs/repository.h"

namespace attune::jobs {
namespace {

namespace fs = std::filesystem;
using ledger::Comparison;
using ledger::PlanFile;
using ledger::StepLog;

constexpr uint32_t kPageMax = 10'000;
constexpr int kReportsAtOnce = 1000;
constexpr size_t kProblemsMax = 1000;  // told, whatever their kind
constexpr size_t kJobsKept = 8;

Result<PlanFile> OpenPlan(const fs::path& run, const v1::Job& job) {
  if (job.kind() != v1::Job::TRAIN) {
    return InvalidArgument("job " + job.id() + " trains nothing, so it has no ledger");
  }
  auto plan = PlanFile::Open(ledger::PlanPath(run));
  if (plan.status().code() != StatusCode::kNotFound) return plan;
  return NotFound("job " + job.id() +
                  " has no ledger: it has taken no step yet, or it ran before " +
                  "there were ledgers; " + (run / "ledger").string() + " would hold it");
}

Result<std::vector<StepLog>> ReadLogs(const fs::path& run, const v1::Job& job) {
  ATTUNE_ASSIGN_OR_RETURN(std::vector<StepLog> logs, ledger::ReadStepLogs(run));
  const bool has_last = !logs.empty() && logs.back().attempt.generation == job.generation();
  if (job.state() == v1::Job::SUCCEEDED && !has_last) {
    return DataLoss("the record of attempt " + std::to_string(job.generation()) +
                    ", which made the model, is not in " + (run / "ledger").string());
  }
  return logs;
}

// Another one when a file of the ledger changes, or what is asked of them.
std::string StampOf(const fs::path& run, const v1::Job& job) {
  std::string stamp = std::to_string(job.state()) + " " + std::to_string(job.generation());
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(run / "ledger", error), end; !error && it != end;
       it.increment(error)) {
    files.push_back(it->path());
  }
  std::ranges::sort(files);
  for (const fs::path& file : files) {
    struct stat info {};
    if (stat(file.c_str(), &info) != 0) continue;
    stamp += "\n" + file.filename().string();
    for (const int64_t number : {static_cast<int64_t>(info.st_ino), int64_t{info.st_size},
                                 int64_t{info.st_mtim.tv_sec}, int64_t{info.st_mtim.tv_nsec}}) {
      stamp += " " + std::to_string(number);
    }
  }
  return stamp;
}

struct Record {
  uint32_t generation = 0;
  ledger::ExampleSum applied;
};

// The records of the steps that the model descends from, by step; of those that the comparison
// knows and has not told of as unplanned.
std::map<uint32_t, Record> KeptRecords(std::span<const StepLog> logs, uint32_t applied_steps) {
  std::map<uint32_t, Record> kept;
  for (const ledger::KeptSteps& part : ledger::KeptChain(logs)) {
    for (const StepLog& log : logs) {
      if (log.attempt.generation != part.generation) continue;
      for (const ledger::AppliedStep& applied : log.steps) {
        if (applied.step <= part.after || applied.step > part.up_to) continue;
        if (applied.step > applied_steps) continue;
        kept[applied.step] = {part.generation, applied.sum};
      }
    }
  }
  return kept;
}

v1::LedgerProblem::Kind KindOf(ledger::StepProblem::Kind kind) {
  switch (kind) {
    case ledger::StepProblem::Kind::kLost:
      return v1::LedgerProblem::LOST;
    case ledger::StepProblem::Kind::kRepeated:
      return v1::LedgerProblem::APPLIED_TWICE;
    case ledger::StepProblem::Kind::kDiffers:
      return v1::LedgerProblem::OTHER_EXAMPLES;
    case ledger::StepProblem::Kind::kUnplanned:
      return v1::LedgerProblem::UNPLANNED;
    case ledger::StepProblem::Kind::kOtherPlan:
      return v1::LedgerProblem::OTHER_PLAN;
  }
  return v1::LedgerProblem::KIND_UNSPECIFIED;
}

void AddProblem(const ledger::StepProblem& problem, v1::JobLedger* out) {
  v1::LedgerProblem* added = out->add_problems();
  added->set_kind(KindOf(problem.kind));
  added->set_step(problem.step);
  added->set_generation(problem.generation);
  added->set_planned_examples(problem.planned.examples);
  added->set_planned_digest(ledger::DigestText(problem.planned.digest));
  if (problem.applied == ledger::ExampleSum()) return;
  added->set_applied_examples(problem.applied.examples);
  added->set_applied_digest(ledger::DigestText(problem.applied.digest));
}

void AddReportedOtherwise(uint32_t step, const Record& record,
                          const std::vector<ledger::ExampleSum>& planned, v1::JobLedger* out) {
  v1::LedgerProblem* problem = out->add_problems();
  problem->set_kind(v1::LedgerProblem::REPORTED_OTHERWISE);
  problem->set_step(step);
  problem->set_generation(record.generation);
  problem->set_applied_examples(record.applied.examples);
  problem->set_applied_digest(ledger::DigestText(record.applied.digest));
  problem->set_planned_examples(planned[step - 1].examples);
  problem->set_planned_digest(ledger::DigestText(planned[step - 1].digest));
}

void AddEpoch(const ledger::EpochUses& epoch, v1::JobLedger* out) {
  v1::LedgerEpoch* added = out->add_epochs();
  added->set_epoch(epoch.epoch);
  added->set_examples(epoch.uses.planned);
  added->set_used(epoch.uses.used);
  added->set_missing(epoch.uses.missing);
  added->set_repeated(epoch.uses.repeated);
  added->set_to_come(epoch.uses.to_come);
}

void AddSpan(const ledger::StepSpan& span, const std::map<uint32_t, AttemptRow>& attempts,
             v1::JobLedger* out) {
  v1::LedgerSteps* added = out->add_applied();
  added->set_generation(span.generation);
  added->set_ranks(span.ranks);
  added->set_first(span.first);
  added->set_last(span.last);
  added->set_kept(span.kept);
  const auto attempt = attempts.find(span.generation);
  if (!span.kept && attempt != attempts.end()) added->set_why(attempt->second.outcome);
}

void AddCounts(const PlanFile& plan, const Comparison& comparison, v1::JobLedger* out) {
  out->set_examples(comparison.uses.planned);
  out->set_used(comparison.uses.used);
  out->set_missing(comparison.uses.missing);
  out->set_repeated(comparison.uses.repeated);
  out->set_to_come(comparison.uses.to_come);
  out->set_examples_an_epoch(plan.shape().examples);
  out->set_steps(plan.shape().steps);
  out->set_applied_steps(comparison.applied_steps);
  out->set_problems_left_out(comparison.problems_left_out);
  out->set_plan_digest(plan.shape().digest);
  out->set_plan_bytes(plan.bytes());
}

Status AddUses(const v1::GetLedgerRequest& request, const PlanFile& plan,
               const Comparison& comparison, v1::JobLedger* out) {
  if (request.list() == v1::GetLedgerRequest::USES_UNSPECIFIED) return Status();
  uint64_t place = 0;
  const std::string& token = request.page_token();
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), place);
  if (!token.empty() && (error != std::errc() || end != token.data() + token.size())) {
    return InvalidArgument("page_token is not one that this server gave").WithField("page_token");
  }
  const uint32_t page =
      request.page_size() == 0 ? kPageMax : std::min(request.page_size(), kPageMax);
  const auto verdict = request.list() == v1::GetLedgerRequest::MISSING
                           ? ledger::StepVerdict::kMissing
                           : ledger::StepVerdict::kRepeated;
  for (const ledger::ListedUse& use : ledger::List(plan, comparison, verdict, &place, page)) {
    v1::LedgerUse* added = out->add_uses();
    added->set_id(use.id);
    added->set_epoch(use.epoch);
    added->set_step(use.step);
  }
  if (static_cast<uint32_t>(out->uses_size()) == page) {
    out->set_next_page_token(std::to_string(place));
  }
  return Status();
}

}  // namespace

// What follows from a job's files alone.
struct LedgerReader::Compared {
  PlanFile plan;
  Comparison comparison;
  size_t steps() const { return comparison.steps.size(); }
};

LedgerReader::LedgerReader(Database* database, fs::path storage, size_t steps_kept)
    : database_(database), storage_(std::move(storage)), steps_kept_(steps_kept) {}

LedgerReader::~LedgerReader() = default;

uint64_t LedgerReader::files_read() const {
  MutexLock lock(&mutex_);
  return files_read_;
}

Result<std::shared_ptr<const LedgerReader::Compared>> LedgerReader::Compare(const fs::path& run,
                                                                            const v1::Job& job) {
  const std::string stamp = StampOf(run, job);  // before they are read: then they may go on
  {
    MutexLock lock(&mutex_);
    const auto found = std::ranges::find(kept_, job.id(), &Kept::job_id);
    if (found != kept_.end() && found->stamp == stamp) {
      std::rotate(kept_.begin(), found, found + 1);
      return kept_.front().compared;
    }
    ++files_read_;
  }
  ATTUNE_ASSIGN_OR_RETURN(PlanFile plan, OpenPlan(run, job));
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<StepLog> logs, ReadLogs(run, job));
  Comparison comparison =
      ledger::Compare(plan, logs, /*finished=*/job.state() == v1::Job::SUCCEEDED);
  auto compared =
      std::make_shared<const Compared>(Compared{std::move(plan), std::move(comparison)});
  Keep({job.id(), stamp, compared});
  return compared;
}

// The one asked for last is kept whatever its size, for its next page.
void LedgerReader::Keep(Kept newest) {
  MutexLock lock(&mutex_);
  std::erase_if(kept_, [&](const Kept& kept) { return kept.job_id == newest.job_id; });
  kept_.push_front(std::move(newest));
  size_t steps = 0, count = 0;
  for (const Kept& kept : kept_) {
    steps += kept.compared->steps();
    if (count > 0 && (count == kJobsKept || steps > steps_kept_)) break;
    ++count;
  }
  kept_.resize(count);
}

// A report is a second witness of a step's record: it came another way.
Status LedgerReader::CompareReports(const fs::path& run, const v1::Job& job,
                                    const Compared& compared, v1::JobLedger* out) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<StepLog> logs, ReadLogs(run, job));
  const Comparison& comparison = compared.comparison;
  const std::map<uint32_t, Record> records = KeptRecords(logs, comparison.applied_steps);
  MetricPosition position;
  for (bool more = true; more;) {
    std::vector<v1::MetricPoint> points;
    ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
      points = ReadMetrics(transaction, out->job_id(), &position, kReportsAtOnce);
      return Status();
    }));
    more = !points.empty();
    for (const v1::MetricPoint& point : points) {
      const auto record = records.find(point.step());
      if (!point.has_examples_digest() || record == records.end() ||
          point.generation() != record->second.generation) {
        continue;
      }
      if (point.examples_digest() == ledger::DigestText(record->second.applied.digest)) {
        out->set_reported_steps(out->reported_steps() + 1);
      } else if (static_cast<size_t>(out->problems_size()) >= kProblemsMax) {
        out->set_problems_left_out(out->problems_left_out() + 1);
      } else {
        AddReportedOtherwise(point.step(), record->second, comparison.planned, out);
      }
    }
  }
  return Status();
}

Result<v1::JobLedger> LedgerReader::Read(const v1::Job& job, const v1::GetLedgerRequest& request) {
  const fs::path run = RunFolder(storage_, job.id());
  ATTUNE_ASSIGN_OR_RETURN(const std::shared_ptr<const Compared> compared, Compare(run, job));
  const Comparison& comparison = compared->comparison;
  v1::JobLedger out;
  out.set_job_id(job.id());
  out.set_state(job.state());
  out.set_plan_file(ledger::PlanPath(run).string());
  AddCounts(compared->plan, comparison, &out);
  ATTUNE_RETURN_IF_ERROR(AddUses(request, compared->plan, comparison, &out));
  if (!request.page_token().empty()) return out;  // the rest came with the first page
  std::map<uint32_t, AttemptRow> attempts;
  ATTUNE_RETURN_IF_ERROR(database_->Read([&](Transaction& transaction) {
    attempts = LoadAttempts(transaction, job.id());
    return Status();
  }));
  for (const ledger::EpochUses& epoch : comparison.epochs) AddEpoch(epoch, &out);
  for (const ledger::StepSpan& span : comparison.spans) AddSpan(span, attempts, &out);
  for (const ledger::StepProblem& problem : comparison.problems) AddProblem(problem, &out);
  ATTUNE_RETURN_IF_ERROR(CompareReports(run, job, *compared, &out));
  return out;
}

}  // namespace attune::jobs
