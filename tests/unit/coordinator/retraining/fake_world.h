#pragma once

// What a retraining controller sees of the outside, in memory. It outlives controllers, as a
// cluster outlives a coordinator; aliases are in the same database, so that they move with an
// update.

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/retraining/controller.h"
#include "tests/support/temporary_folder.h"

namespace attune::retraining {

// Of a schedule on the stream "live", for World::Apply.
inline constexpr const char* kStream =
    "trigger: {cron: \"0 3 * * *\"}\n"
    "data: {observe: live, replay: {dataset: old, share: 0.3}}\n"
    "gates: {retention: [{name: old-skill, dataset: old}]}\n";

class FakeJobs final : public jobs::JobRunner {
 public:
  Result<v1::Job> Submit(const v1::SubmitJobRequest& request) override;
  Result<v1::Job> Cancel(const v1::CancelJobRequest& request) override;
  Result<v1::Job> Get(const std::string& id) override;
  Status ReadOutput(const std::string& id,
                    const std::function<Status(std::string_view line)>& take) override;

  Status RemoveOutput(const std::string& id) override;

  // Ends all that are open; hours: how long each ran on one slot.
  void FinishAll(v1::Job::State state, TimePoint now, double hours);
  std::vector<v1::Job> OfKind(v1::Job::Kind kind) const;

  std::map<std::string, v1::Job> jobs;                    // by id
  std::map<std::string, v1::SubmitJobRequest> requests;   // by request id
  std::map<std::string, std::string> ids;                 // request id to job id
  std::function<std::string(const v1::Job&)> on_trained;  // registers; returns the model
  bool lose_answers = false;  // each request is taken, but its first answer is lost
  std::set<std::string> lost;
  Status refuse_get, refuse_output;
  std::set<std::string> removed;  // jobs whose output is not there any more
};

class FakeDatasets final : public Datasets {
 public:
  Result<v1::DatasetVersion> Get(const std::string& reference) override;
  Result<v1::DatasetVersion> Compose(const std::string& request_id, const std::string& name,
                                     const std::vector<std::string>& sources,
                                     const std::string& event) override;
  Status ForEachId(const std::string& reference, const std::string& split,
                   const std::function<void(std::string_view)>& take) override;
  // A new version; returns "name@version".
  std::string Add(const std::string& name, uint64_t train, uint64_t validation);

  std::map<std::string, std::vector<v1::DatasetVersion>> versions;
  std::map<std::string, std::vector<std::string>> composed;            // by reference
  std::map<std::string, std::pair<std::string, std::string>> answers;  // by request id
  std::map<std::string, std::vector<std::string>> train_ids;           // by reference
};

class FakeModels final : public Models {
 public:
  Result<v1::ModelVersion> Get(const std::string& reference) override;
  Result<uint32_t> AliasVersion(Transaction& transaction, const std::string& model,
                                const std::string& alias) override;
  std::optional<v1::AliasMove> LastMove(Transaction& transaction, const std::string& model,
                                        const std::string& alias) override;
  // A rollback leads to where the alias was before its last move.
  Status MoveAlias(Transaction& transaction, const AliasMove& move) override;
  void SaveGateReport(Transaction& transaction, const v1::GateReport& report) override;

  std::map<std::string, std::vector<v1::ModelVersion>> versions;
};

class FakeLive final : public LiveData {
 public:
  Result<v1::Stream> Get(const std::string& stream) override;
  Result<int64_t> Revision(const std::string& stream) override;
  Result<std::vector<v1::Window>> Windows(const std::string& stream, uint64_t after,
                                          uint32_t limit) override;
  Result<v1::Stream> CloseWindow(const std::string& request_id, const std::string& stream) override;

  v1::Stream stream;
  std::vector<v1::Window> windows;
  FakeDatasets* datasets = nullptr;
  uint64_t waiting = 0;  // labelled rows in the open window
  uint64_t read = 0;     // windows that were asked for
  Status refuse_close;
  void Close();
};

// All of it, with a controller that can be killed.
class World {
 public:
  World();
  void Restart() { controller = std::make_unique<Controller>(ports); }
  // A schedule "weekly" on stream "live"; text: further YAML.
  Result<v1::Schedule> Apply(const std::string& text);
  Result<v1::Schedule> Weekly();
  v1::Update Update(const std::string& id);
  std::vector<v1::Update> Updates();
  // Ticks, and ends jobs, until the newest update is in a state or nothing more can happen.
  void RunTo(v1::Update::State state);
  uint32_t Champion();
  void SetChampion(uint32_t version);
  int Count(const std::string& table);

  TemporaryFolder folder;
  FakeClock clock{TimePoint(std::chrono::seconds(1795996800))};  // Mon 2026-11-30 00:00:00 UTC
  std::unique_ptr<Database> database;
  FakeJobs jobs;
  FakeDatasets datasets;
  FakeModels models;
  FakeLive live;
  v1::GateReport::Verdict verdict = v1::GateReport::PASSED;
  double worse_by = -0.1;  // of the watch
  std::vector<v1::GateFacts> decided;
  Ports ports;
  std::unique_ptr<Controller> controller;
};

}  // namespace attune::retraining
