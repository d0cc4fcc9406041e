#include "coordinator/retraining/requests_of.h"

#include <algorithm>
#include <charconv>

namespace attune::retraining {
namespace {

void AddMetric(v1::Suite* suite, const v1::MetricSpec& metric) {
  if (metric.name().empty() || metric.name() == "loss" || metric.name() == "perplexity") return;
  for (const v1::MetricSpec& known : suite->metrics()) {
    if (known.name() == metric.name()) return;
  }
  *suite->add_metrics() = metric;
}

void AddSlice(v1::Suite* suite, const std::string& key) {
  if (key.empty()) return;
  auto found = std::find(suite->slices().begin(), suite->slices().end(), key);
  if (found == suite->slices().end()) suite->add_slices(key);
}

}  // namespace

double HoursOf(const v1::Job& job) {
  if (!job.has_started() || !job.has_ended()) return 0;
  double seconds = static_cast<double>(job.ended().seconds() - job.started().seconds()) +
                   1e-9 * (job.ended().nanos() - job.started().nanos());
  return std::max(0.0, seconds) / 3600 * std::max(1u, job.ranks());
}

std::string Reference(const std::string& name, uint32_t version) {
  return name + "@" + std::to_string(version);
}

uint32_t VersionOf(const std::string& reference) {
  uint32_t version = 0;
  size_t at = reference.find('@');
  if (at != reference.npos) {
    std::from_chars(reference.data() + at + 1, reference.data() + reference.size(), version);
  }
  return version;
}

v1::JobSpec TrainingSpec(const UpdateRecord& record) {
  const v1::ScheduleSpec& schedule = record.spec;
  v1::JobSpec spec = schedule.job();
  if (schedule.start_from() == "champion" && !record.update.champion().empty()) {
    spec.set_base(record.update.champion());
  }
  const int replays = schedule.data().replay_size();
  const int own = record.update.datasets_size() - replays;
  for (int i = 0; i < own; ++i) {
    if (i >= spec.datasets_size()) {
      spec.add_datasets()->set_weight(1);
    } else if (!schedule.data().observe().empty()) {
      spec.mutable_datasets(i)->set_weight(1);
      spec.mutable_datasets(i)->set_share(0);
    }
    spec.mutable_datasets(i)->set_name(record.update.datasets(i));
  }
  while (spec.datasets_size() > own) spec.mutable_datasets()->RemoveLast();
  for (int i = 0; i < replays; ++i) {
    v1::DatasetRef* dataset = spec.add_datasets();
    dataset->set_name(record.update.datasets(own + i));
    dataset->set_share(schedule.data().replay(i).share());
  }
  spec.mutable_train()->set_seed(static_cast<uint64_t>(record.number));
  spec.mutable_register_()->set_model(schedule.promote().model());
  return spec;
}

v1::EvaluateRequest EvaluationOf(const UpdateRecord& record, const std::string& goal_dataset) {
  const v1::GatesSpec& gates = record.spec.gates();
  v1::EvaluateRequest request;
  v1::Suite* goal = request.add_suites();
  goal->set_name("goal");
  goal->set_dataset(goal_dataset);
  goal->set_split("validation");
  goal->set_max_examples(gates.max_examples());
  for (const std::string& slice : gates.slices()) AddSlice(goal, slice);
  for (const v1::Goal& wanted : gates.goals()) {
    AddMetric(goal, wanted.metric());
    AddSlice(goal, wanted.slice_key());
  }
  if (gates.champion().required()) AddMetric(goal, gates.champion().metric());
  for (const v1::Retention& skill : gates.retention()) {
    v1::Suite* suite = request.add_suites();
    suite->set_name(skill.name());
    suite->set_dataset(skill.dataset());
    suite->set_split(skill.split());
    suite->set_max_examples(gates.max_examples());
    AddMetric(suite, skill.metric());
  }
  *request.mutable_smoke() = gates.smoke();
  request.set_merge(true);
  request.set_dtype(gates.dtype());
  request.set_seed(gates.seed());
  return request;
}

bool NeedsChampion(const v1::GatesSpec& gates) {
  return gates.champion().required() || gates.retention_size() > 0;
}

}  // namespace attune::retraining
