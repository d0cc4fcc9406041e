#include "coordinator/snapshot.h"

#include <algorithm>

#include "common/rpc/certificates.h"
#include "coordinator/drift/repository.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"
#include "coordinator/retraining/controller.h"

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

std::vector<metrics::ScheduleSample> ScheduleSamples(Transaction& transaction, TimePoint now) {
  constexpr int kSchedulesMax = 1000;
  std::map<std::string, metrics::ScheduleSample> samples;
  for (const auto& [key, count] : retraining::CountUpdates(transaction)) {
    samples[key.first].updates[key.second] = count;
  }
  for (const auto& record : retraining::LoadSchedules(transaction, "", kSchedulesMax)) {
    v1::Schedule schedule = retraining::View(transaction, record, now);
    metrics::ScheduleSample& sample = samples[schedule.spec().name()];
    if (schedule.has_next()) sample.next = SecondsOf(schedule.next());
    sample.gpu_seconds = schedule.gpu_hours_this_week() * 3600;
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
                                       drift::Monitor* monitor, Clock* clock,
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
    for (const auto& [state, count] : jobs::CountJobsByState(transaction, false)) {
      snapshot.jobs[state] = count;
    }
    for (const v1::Job& job :
         jobs::RecentTrainJobs(transaction, metrics::kActiveJobsMax, metrics::kEndedJobs)) {
      if (job.has_started()) {
        snapshot.job_samples.push_back(Sample(transaction, job, clock->Now()));
      }
    }
    snapshot.schedules = ScheduleSamples(transaction, clock->Now());
    AddStreams(transaction, problems, &snapshot);
    return Status();
  }));
  return snapshot;
}

}  // namespace attune
