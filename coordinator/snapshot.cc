#include "coordinator/snapshot.h"

#include <algorithm>

#include "common/rpc/certificates.h"
#include "coordinator/drift/repository.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"
#include "coordinator/retraining/decisions.h"
#include "coordinator/retraining/repository.h"

namespace attune {
namespace {

double SecondsOf(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + time.nanos() * 1e-9;
}

metrics::JobSample Sample(Transaction& transaction, const v1::Job& job, TimePoint now) {
  metrics::JobSample sample;
  sample.id = job.id();
  sample.name = job.name();
  auto loss = job.metrics().find("loss");
  if (loss != job.metrics().end()) sample.train_loss = loss->second;
  auto validation = job.metrics().find("validation_loss");
  if (validation != job.metrics().end()) sample.validation_loss = validation->second;
  double end = jobs::IsFinal(job.state()) ? SecondsOf(job.ended())
                                          : static_cast<double>(ToMicros(now)) * 1e-6;
  sample.seconds_since_placed = end - SecondsOf(job.started());
  sample.running = jobs::IsActive(job.state());
  // A job of an older version has no sum yet.
  sample.seconds_applied = job.has_applied_seconds() ? job.applied_seconds()
                                                     : jobs::AppliedSeconds(transaction, job.id());
  return sample;
}

double SecondsOf(TimePoint time) {
  return static_cast<double>(ToMicros(time)) * 1e-6;
}

// Those that there are, and of those that were deleted what became of their updates.
std::vector<metrics::ScheduleSample> ScheduleSamples(Transaction& transaction,
                                                     const retraining::Controller* retraining) {
  const TimePoint now = transaction.now();
  std::map<std::string, metrics::ScheduleSample> samples;
  for (const auto& record :
       retraining::LoadSchedules(transaction, "", static_cast<int>(metrics::kSchedulesMax))) {
    const std::string& name = retraining::NameOf(record);
    metrics::ScheduleSample& sample = samples[name];
    sample.gpu_seconds =
        3600 * retraining::HoursThisWeek(
                   retraining::GpuHours(transaction, name, now - retraining::kWeek), now);
    if (record.schedule.paused()) continue;
    sample.problem = !retraining->ProblemOf(name).empty();
    const TimePoint due = retraining::CronDue(record.schedule.spec(), record.looked);
    if (due != TimePoint::max()) sample.next = SecondsOf(due);
  }
  for (const auto& [key, count] : retraining::CountUpdates(transaction)) {
    const bool known = samples.contains(key.first);
    if (known || samples.size() < metrics::kSchedulesMax) {
      samples[key.first].updates[key.second] = count;
    }
  }
  for (const auto& record : retraining::LoadOpenUpdates(transaction)) {
    auto sample = samples.find(record.update.schedule());
    if (sample == samples.end()) continue;
    if (record.update.has_trouble_since()) sample->second.problem = true;
    // One that waits does so for its limits, as long as they say.
    if (!retraining::IsActive(record.update.state()) ||
        record.update.state() == v1::Update::WAITING) {
      continue;
    }
    const double open = SecondsOf(now) - SecondsOf(record.update.created());
    sample->second.open_seconds = std::max(sample->second.open_seconds, open);
  }
  std::vector<metrics::ScheduleSample> out;
  for (auto& [name, sample] : samples) {
    sample.name = name;
    out.push_back(std::move(sample));
  }
  return out;
}

metrics::StreamSample StreamSampleOf(Transaction& transaction, const v1::Stream& stream) {
  metrics::StreamSample sample;
  sample.name = stream.spec().name();
  sample.alarm = stream.state() == "alarm";
  sample.observed = stream.observed();
  sample.rejected = stream.rejected();
  if (auto window = drift::LastMeasured(transaction, sample.name)) {
    for (const v1::DetectorResult& result : window->detectors()) {
      sample.detectors.push_back({result.detector(), result.feature(), result.effect()});
    }
  }
  return sample;
}

void AddStreams(Transaction& transaction, const std::map<std::string, std::string>& problems,
                metrics::Snapshot* snapshot) {
  snapshot->windows = drift::CountUnfinishedWindows(transaction);
  for (const drift::StreamRecord& record :
       drift::LoadStreams(transaction, "", metrics::kStreamsMax)) {
    snapshot->streams.push_back(StreamSampleOf(transaction, record.stream));
    snapshot->streams.back().problem = problems.contains(record.stream.spec().name());
  }
}

}  // namespace

Result<metrics::Snapshot> TakeSnapshot(Database* database, jobs::ControlLoop* loop,
                                       drift::Monitor* monitor,
                                       const retraining::Controller* retraining, Clock* clock,
                                       const std::filesystem::path& storage,
                                       const std::string& certificate) {
  metrics::Snapshot snapshot;
  auto nodes = loop->Call<std::vector<v1::Node>>(
      [](jobs::Controller& controller) -> Result<std::vector<v1::Node>> {
        return controller.Nodes();
      });
  if (!nodes.ok()) return nodes.status();
  for (const v1::Node& node : *nodes) {
    ++snapshot.nodes[v1::Node::State_Name(node.state())];
    if (node.state() != v1::Node::READY) continue;
    snapshot.slots_used += node.slots_used();
    snapshot.slots_free += node.slots() - std::min(node.slots(), node.slots_used());
  }
  if (!certificate.empty()) {
    auto expiry = rpc::CertificateExpiry(certificate);
    if (expiry.ok()) snapshot.certificate_expiry = static_cast<double>(ToMicros(*expiry)) * 1e-6;
  }
  std::error_code error;
  const auto space = std::filesystem::space(storage, error);
  if (!error) {
    snapshot.storage_bytes = space.capacity;
    snapshot.storage_free_bytes = space.available;
  }
  const std::map<std::string, std::string> problems = monitor->AllProblems();
  ATTUNE_RETURN_IF_ERROR(database->Read([&](Transaction& transaction) {
    if (auto oldest = jobs::OldestQueued(transaction)) {
      snapshot.queue_oldest_seconds =
          std::max(0.0, std::chrono::duration<double>(clock->Now() - *oldest).count());
    }
    snapshot.jobs = jobs::CountJobs(transaction);
    for (const v1::Job& job :
         jobs::RecentTrainJobs(transaction, metrics::kActiveJobsMax, metrics::kEndedJobs)) {
      if (job.has_started()) {
        snapshot.job_samples.push_back(Sample(transaction, job, clock->Now()));
      }
    }
    snapshot.schedules = ScheduleSamples(transaction, retraining);
    AddStreams(transaction, problems, &snapshot);
    return Status();
  }));
  return snapshot;
}

}  // namespace attune
