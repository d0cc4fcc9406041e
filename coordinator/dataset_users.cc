#include "coordinator/dataset_users.h"

#include <algorithm>
#include <set>

#include "coordinator/drift/repository.h"
#include "coordinator/jobs/repository.h"
#include "coordinator/jobs/state_machine.h"
#include "coordinator/models/aliases.h"
#include "coordinator/retraining/repository.h"
#include "coordinator/versions/table.h"

namespace attune {
namespace {

constexpr int kRecordsAtATime = 200;
constexpr uint32_t kWindowsMax = 10'000;  // of one stream
constexpr int kUpdatesLookedAt = 50;      // of one schedule
constexpr size_t kLineageMax = 1000;      // models

class Needs {
 public:
  void Add(const std::string& dataset, const std::string& reason) {
    if (dataset.empty() || !seen_.insert(dataset + "\n" + reason).second) return;
    std::string& all = needs_[dataset];
    all += (all.empty() ? "" : "; ") + reason;
  }
  std::map<std::string, std::string> Take() { return std::move(needs_); }

 private:
  std::map<std::string, std::string> needs_;
  std::set<std::string> seen_;
};

std::map<std::string, std::string> OpenJobs(Transaction& transaction) {
  Needs needs;
  for (const jobs::JobRecord& record : jobs::LoadOpenJobs(transaction)) {
    for (const std::string& dataset : record.job.datasets()) {
      needs.Add(dataset, record.job.id() + " is " + jobs::StateName(record.job.state()));
    }
  }
  return needs.Take();
}

void AddSpec(const v1::ScheduleSpec& spec, const std::string& who, Needs* needs) {
  if (spec.data().observe().empty()) {
    for (const v1::DatasetRef& dataset : spec.job().datasets()) {
      needs->Add(dataset.name(), who + " trains on it");
    }
  }
  for (const v1::ReplaySpec& replay : spec.data().replay()) {
    needs->Add(replay.dataset(), who + " replays it");
  }
  for (const v1::Retention& suite : spec.gates().retention()) {
    needs->Add(suite.dataset(), who + " measures on it");
  }
}

void AddWindows(Transaction& transaction, const std::string& stream, uint64_t after, uint64_t last,
                const std::string& who, Needs* needs) {
  for (const v1::Window& window : drift::LoadWindows(transaction, stream, after, kWindowsMax)) {
    if (window.number() > last || window.excluded()) continue;
    needs->Add(window.dataset(),
               who + " trains on it, window " + std::to_string(window.number()) + " of " + stream);
  }
}

std::map<std::string, std::string> OpenUpdates(Transaction& transaction) {
  Needs needs;
  for (const retraining::UpdateRecord& record : retraining::LoadOpenUpdates(transaction)) {
    const v1::Update& update = record.update;
    if (retraining::IsFinal(update.state())) continue;
    const std::string is = update.id() + " is " + retraining::StateName(update.state());
    for (const std::string& dataset : update.datasets()) needs.Add(dataset, is);
    for (const v1::Suite& suite : record.evaluation.suites()) needs.Add(suite.dataset(), is);
    if (!retraining::IsActive(update.state())) continue;
    AddSpec(record.spec, update.id(), &needs);
    if (update.datasets().empty() && update.last_window() > 0) {
      AddWindows(transaction, record.spec.data().observe(), update.first_window() - 1,
                 update.last_window(), update.id(), &needs);
    }
  }
  return needs.Take();
}

template <typename Take>
void ForEachStream(Transaction& transaction, const Take& take) {
  std::string after;
  for (;;) {
    const auto streams = drift::LoadStreams(transaction, after, kRecordsAtATime);
    for (const drift::StreamRecord& stream : streams) take(stream.stream.spec());
    if (streams.size() < kRecordsAtATime) return;
    after = streams.back().stream.spec().name();
  }
}

// Windows that are data set versions already, and not measured yet.
std::map<std::string, std::string> OpenWindows(Transaction& transaction) {
  Needs needs;
  ForEachStream(transaction, [&](const v1::StreamSpec& spec) {
    const auto first = drift::FirstWindow(transaction, spec.name(), drift::Phase::kClosed,
                                          drift::Phase::kEmbedding);
    if (!first) return;
    for (const v1::Window& window :
         drift::LoadWindows(transaction, spec.name(), first->window.number() - 1, kWindowsMax)) {
      if (window.state() != "waiting" && window.state() != "embedding") continue;
      needs.Add(window.dataset(), "window " + std::to_string(window.number()) + " of " +
                                      spec.name() + " is to be measured");
    }
  });
  return needs.Take();
}

std::map<std::string, std::string> References(Transaction& transaction) {
  Needs needs;
  ForEachStream(transaction, [&](const v1::StreamSpec& spec) {
    needs.Add(spec.reference(), "stream " + spec.name() + " is held against it");
  });
  return needs.Take();
}

// Of the windows that a schedule observes those that are newer than what was promoted: the next
// update trains on them.
std::map<std::string, std::string> Schedules(Transaction& transaction) {
  Needs needs;
  std::string after;
  for (;;) {
    const auto records = retraining::LoadSchedules(transaction, after, kRecordsAtATime);
    for (const retraining::ScheduleRecord& record : records) {
      const v1::ScheduleSpec& spec = record.schedule.spec();
      const std::string who = "schedule " + spec.name();
      AddSpec(spec, who, &needs);
      if (spec.data().observe().empty()) continue;
      uint64_t trained = 0;
      for (const retraining::UpdateRecord& update :
           retraining::LoadUpdates(transaction, spec.name(), 0, kUpdatesLookedAt)) {
        const v1::Update::State state = update.update.state();
        if (state == v1::Update::PROMOTED || state == v1::Update::WATCHING) {
          trained = std::max(trained, update.update.last_window());
        }
      }
      AddWindows(transaction, spec.data().observe(), trained, UINT64_MAX, who, &needs);
    }
    if (records.size() < kRecordsAtATime) return needs.Take();
    after = records.back().schedule.spec().name();
  }
}

// What gates look up: that no suite was trained on, back to what was imported.
std::map<std::string, std::string> AliasLineages(Transaction& transaction) {
  Needs needs;
  const versions::Table table("model");
  for (const v1::Alias& alias : models::ListAliases(transaction, "")) {
    const std::string pointed = versions::FormatReference(alias.model(), alias.version());
    const std::string who = pointed + " (alias " + alias.alias() + ")";
    std::vector<std::string> open = {pointed};
    std::set<std::string> seen;
    while (!open.empty() && seen.size() < kLineageMax) {
      const std::string reference = open.back();
      open.pop_back();
      Result<versions::Reference> model = versions::ParseReference("model", reference);
      if (!model.ok() || !seen.insert(reference).second) continue;
      Result<std::string> record = table.Find(transaction, *model);
      v1::ModelVersion version;
      if (!record.ok() || !version.ParseFromString(*record)) continue;
      for (const std::string& dataset : version.lineage().datasets()) {
        needs.Add(dataset, reference == pointed
                               ? who + " was trained on it"
                               : who + " descends from " + reference + ", which was trained on it");
      }
      open.push_back(version.lineage().base());
      open.push_back(version.base());
    }
  }
  return needs.Take();
}

}  // namespace

datasets::Users DatasetUsers() {
  return {.running = {OpenJobs, OpenUpdates, OpenWindows},
          .wanting = {Schedules, References, AliasLineages}};
}

}  // namespace attune
