#include "tests/unit/coordinator/retraining/fake_world.h"

#include <gtest/gtest.h>

#include "common/spec/schedule_spec.h"
#include "coordinator/retraining/requests_of.h"
#include "coordinator/retraining/schema.h"

namespace attune::retraining {
namespace {

using soci::into;
using soci::use;

template <typename Version>
Result<Version> Find(const std::map<std::string, std::vector<Version>>& versions,
                     const std::string& reference) {
  std::string name = reference.substr(0, reference.find('@'));
  auto found = versions.find(name);
  if (found == versions.end() || found->second.empty()) return NotFound("no " + reference);
  uint32_t version = VersionOf(reference);
  if (version == 0) version = static_cast<uint32_t>(found->second.size());
  if (version > found->second.size()) return NotFound("no " + reference);
  return found->second[version - 1];
}

bool IsOpen(const v1::Job& job) {
  return job.state() == v1::Job::QUEUED;
}

}  // namespace

Result<v1::Job> FakeJobs::Submit(const v1::SubmitJobRequest& request) {
  auto [known, fresh] = requests.emplace(request.request_id(), request);
  if (!fresh && known->second.SerializeAsString() != request.SerializeAsString()) {
    return AlreadyExists("request id " + request.request_id() + " was used for something else");
  }
  if (fresh) {
    v1::Job job;
    job.set_id("job-" + std::to_string(jobs.size() + 1));
    job.set_kind(request.kind());
    job.set_state(v1::Job::QUEUED);
    job.set_ranks(1);
    job.set_update(request.update());
    *job.mutable_spec() = request.spec();
    *job.mutable_task() = request.task();
    ids[request.request_id()] = job.id();
    jobs[job.id()] = job;
  }
  if (lose_answers && lost.insert(request.request_id()).second) return Unavailable("lost");
  return jobs[ids[request.request_id()]];
}

Result<v1::Job> FakeJobs::Cancel(const v1::CancelJobRequest& request) {
  jobs[request.id()].set_state(v1::Job::CANCELLED);
  return jobs[request.id()];
}

Result<v1::Job> FakeJobs::Get(const std::string& id) {
  ATTUNE_RETURN_IF_ERROR(refuse_get);
  auto found = jobs.find(id);
  if (found == jobs.end()) return NotFound("no job " + id);
  return found->second;
}

Status FakeJobs::ReadOutput(const std::string& id,
                            const std::function<Status(std::string_view)>& take) {
  ATTUNE_RETURN_IF_ERROR(refuse_output);
  if (removed.contains(id)) return NotFound("the output of " + id + " is not there");
  const v1::EvaluateRequest& request = jobs[id].task().evaluate();
  for (const v1::Suite& suite : request.suites()) {
    for (int i = 0; i < 2; ++i) {
      std::string example(32, static_cast<char>('a' + i));
      ATTUNE_RETURN_IF_ERROR(take("{\"example\": {\"suite\": \"" + suite.name() + "\", \"id\": \"" +
                                  example + "\", \"loss_sum\": 2, \"target_tokens\": 1}}"));
    }
  }
  return take("{\"artifact\": {\"bytes\": 10, \"parameters\": 5, \"dtype\": \"float32\"}}");
}

Status FakeJobs::RemoveOutput(const std::string& id) {
  removed.insert(id);
  return Status();
}

void FakeJobs::FinishAll(v1::Job::State state, TimePoint now, double hours) {
  for (auto& [id, job] : jobs) {
    if (!IsOpen(job)) continue;
    jobs::SetTimestamp(job.mutable_started(), now - Duration(static_cast<int64_t>(hours * 3.6e9)));
    jobs::SetTimestamp(job.mutable_ended(), now);
    job.set_state(state);
    if (state == v1::Job::FAILED) job.set_reason("out of memory");
    if (state == v1::Job::SUCCEEDED && job.kind() == v1::Job::TRAIN) job.set_model(on_trained(job));
  }
}

std::vector<v1::Job> FakeJobs::OfKind(v1::Job::Kind kind) const {
  std::vector<v1::Job> out;
  for (const auto& [id, job] : jobs) {
    if (job.kind() == kind) out.push_back(job);
  }
  return out;
}

Result<v1::DatasetVersion> FakeDatasets::Get(const std::string& reference) {
  return Find(versions, reference);
}

Result<v1::DatasetVersion> FakeDatasets::Compose(const std::string& request_id,
                                                 const std::string& name,
                                                 const std::vector<std::string>& sources,
                                                 const std::string& event) {
  std::string content = name;
  uint64_t train = 0, validation = 0;
  for (const std::string& source : sources) {
    ATTUNE_ASSIGN_OR_RETURN(v1::DatasetVersion version, Get(source));
    content += "," + source;
    train += version.examples().at("train");
    validation += version.examples().at("validation");
  }
  auto known = answers.find(request_id);
  if (known != answers.end()) {
    if (known->second.first != content) return AlreadyExists("another question: " + request_id);
    return Get(known->second.second);
  }
  std::string reference = Add(name, train, validation);
  composed[reference] = sources;
  answers[request_id] = {content, reference};
  return Get(reference);
}

Status FakeDatasets::ForEachId(const std::string& reference, const std::string& split,
                               const std::function<void(std::string_view)>& take) {
  EXPECT_EQ(split, "train");
  for (const std::string& id : train_ids[reference]) take(id);
  return Get(reference).status();
}

std::string FakeDatasets::Add(const std::string& name, uint64_t train, uint64_t validation) {
  v1::DatasetVersion version;
  version.set_name(name);
  version.set_version(static_cast<uint32_t>(versions[name].size() + 1));
  (*version.mutable_examples())["train"] = train;
  (*version.mutable_examples())["validation"] = validation;
  versions[name].push_back(version);
  return Reference(name, version.version());
}

Result<v1::ModelVersion> FakeModels::Get(const std::string& reference) {
  return Find(versions, reference);
}

Result<uint32_t> FakeModels::AliasVersion(Transaction& transaction, const std::string& model,
                                          const std::string& alias) {
  int version = 0;
  transaction.session() << "SELECT COALESCE(MAX(version), 0) FROM aliases WHERE name = :name",
      use(model + "@" + alias), into(version);
  return static_cast<uint32_t>(version);
}

std::optional<v1::AliasMove> FakeModels::LastMove(Transaction& transaction, const std::string&,
                                                  const std::string&) {
  std::string update;
  int to = 0;
  transaction.session() << "SELECT update_id, to_version FROM moves ORDER BY rowid DESC LIMIT 1",
      into(update), into(to);
  if (!transaction.session().got_data()) return std::nullopt;
  v1::AliasMove move;
  move.set_to_version(static_cast<uint32_t>(to));
  move.set_actor(update.empty() ? "user:ann" : "schedule:weekly");
  move.set_evidence(update);
  return move;
}

Status FakeModels::MoveAlias(Transaction& transaction, const AliasMove& move) {
  ATTUNE_ASSIGN_OR_RETURN(uint32_t at, AliasVersion(transaction, move.model, move.alias));
  if (at != move.from) return FailedPrecondition("it is at " + std::to_string(at));
  if (move.rollback) {
    int before = 0;
    transaction.session() << "SELECT to_version FROM moves ORDER BY rowid DESC LIMIT 1 OFFSET 1",
        into(before);
    if (before != static_cast<int>(move.to)) {
      return FailedPrecondition("it leads to " + std::to_string(before));
    }
  }
  const std::string name = move.model + "@" + move.alias;
  int to = static_cast<int>(move.to), rollback = move.rollback;
  transaction.session() << "DELETE FROM aliases WHERE name = :name", use(name);
  transaction.session() << "INSERT INTO aliases (name, version) VALUES (:name, :to)", use(name),
      use(to);
  transaction.session()
      << "INSERT INTO moves (update_id, to_version, is_rollback) VALUES (:update, "
         ":to, :rollback)",
      use(move.update), use(to), use(rollback);
  return Status();
}

void FakeModels::SaveGateReport(Transaction& transaction, const v1::GateReport& report) {
  EXPECT_FALSE(report.facts_checksum().empty());
  transaction.session() << "INSERT INTO reports (candidate) VALUES (:candidate)",
      use(report.candidate());
}

Result<v1::Stream> FakeLive::Get(const std::string& name) {
  stream.mutable_spec()->set_name(name);
  stream.set_windows(windows.size());
  return stream;
}

Result<int64_t> FakeLive::Revision(const std::string& name) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::Stream now, Get(name));
  std::string all = now.SerializeAsString();
  for (const v1::Window& window : windows) all += window.SerializeAsString();
  return static_cast<int64_t>(std::hash<std::string>()(all));
}

Result<std::vector<v1::Window>> FakeLive::Windows(const std::string&, uint64_t after,
                                                  uint32_t limit) {
  ++read;
  std::vector<v1::Window> out;
  for (const v1::Window& window : windows) {
    if (window.number() > after && out.size() < limit) out.push_back(window);
  }
  return out;
}

Result<v1::Stream> FakeLive::CloseWindow(const std::string&, const std::string& name) {
  ATTUNE_RETURN_IF_ERROR(refuse_close);
  Close();
  return Get(name);
}

void FakeLive::Close() {
  if (waiting == 0) return;
  v1::Window window;
  window.set_number(windows.size() + 1);
  window.set_examples(waiting);
  window.set_labelled(waiting);
  window.set_state("measured");
  window.set_dataset(datasets->Add("live", waiting - waiting / 3, waiting / 3));
  windows.push_back(window);
  waiting = 0;
}

World::World() {
  std::vector<Migration> migrations = Migrations();
  migrations.push_back({"test",
                        1,
                        {"CREATE TABLE aliases (name TEXT PRIMARY KEY, version INTEGER NOT NULL)",
                         "CREATE TABLE moves (update_id TEXT, to_version INTEGER, is_rollback "
                         "INTEGER)",
                         "CREATE TABLE reports (candidate TEXT)"}});
  auto opened = Database::Open(folder.path() / "attune.db", migrations, &clock);
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  database = std::move(*opened);
  live.datasets = &datasets;
  datasets.Add("docs", 500, 100);
  datasets.Add("old", 500, 100);
  v1::ModelVersion base;
  base.set_name("smollm2");
  base.set_version(1);
  models.versions["smollm2"].push_back(base);
  jobs.on_trained = [this](const v1::Job& job) {
    const std::string& name = job.spec().register_().model();
    v1::ModelVersion version;
    version.set_name(name);
    version.set_version(static_cast<uint32_t>(models.versions[name].size() + 1));
    version.mutable_lineage()->set_base(job.spec().base().find('@') == std::string::npos
                                            ? job.spec().base() + "@1"
                                            : job.spec().base());
    version.mutable_lineage()->set_update(job.update());
    for (const auto& dataset : job.spec().datasets()) {
      version.mutable_lineage()->add_datasets(dataset.name());
    }
    models.versions[name].push_back(version);
    return Reference(name, version.version());
  };
  ports.database = database.get();
  ports.clock = &clock;
  ports.jobs = &jobs;
  ports.datasets = &datasets;
  ports.models = &models;
  ports.live = &live;
  ports.storage = folder.path();
  ports.decide = [this](const v1::GateFacts& facts) -> Result<v1::GateReport> {
    decided.push_back(facts);
    v1::GateReport report;
    report.set_verdict(verdict);
    report.set_summary(verdict == v1::GateReport::PASSED ? "all gates passed" : "goal: too high");
    report.set_candidate(facts.candidate().model());
    for (const v1::Retention& skill : facts.spec().retention()) {
      v1::SkillChange* change = report.add_skills();
      change->set_skill(skill.name());
      change->set_worse_by(worse_by);
      change->set_lower(worse_by - 0.01);
      change->set_upper(worse_by + 0.01);
      change->set_confidence(skill.confidence());
      v1::GateResult* gate = report.add_gates();
      gate->set_gate("retention");
      gate->set_name(skill.name());
      gate->set_examples(100);
      gate->set_verdict(worse_by > skill.budget() ? v1::GateReport::FAILED
                                                  : v1::GateReport::PASSED);
    }
    return report;
  };
  Restart();
}

Result<v1::Schedule> World::Apply(const std::string& text) {
  auto spec = spec::ParseScheduleSpec(
      std::string("name: weekly\njob: {base: smollm2, dataset: docs, method: lora}\n") +
          // A watch needs a stream.
          (text.find("observe") == text.npos
               ? "promote: {model: tuned}\n"
               : "promote: {model: tuned, rollback: {live_loss_increase: 0.1, windows: 2}}\n") +
          text,
      "weekly.yaml", [](const auto& path) -> Result<std::string> { return NotFound(path); });
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  if (!spec.ok()) return spec.status();
  v1::ApplyScheduleRequest request;
  *request.mutable_spec() = *spec;
  return controller->Apply(request);
}

Result<v1::Schedule> World::Weekly() {
  v1::GetScheduleRequest request;
  request.set_name("weekly");
  return controller->Get(request);
}

v1::Update World::Update(const std::string& id) {
  v1::GetUpdateRequest request;
  request.set_id(id);
  auto update = controller->GetUpdate(request);
  EXPECT_TRUE(update.ok()) << update.status().message();
  return update.ok() ? *update : v1::Update();
}

std::vector<v1::Update> World::Updates() {
  auto list = controller->ListUpdates({});
  EXPECT_TRUE(list.ok()) << list.status().message();
  return {list->updates().begin(), list->updates().end()};
}

void World::RunTo(v1::Update::State state) {
  for (int i = 0; i < 100; ++i) {
    controller->Tick();
    auto updates = Updates();
    if (!updates.empty() && updates.front().state() == state) return;
    jobs.FinishAll(v1::Job::SUCCEEDED, clock.Now(), 0.5);
  }
  auto updates = Updates();
  ADD_FAILURE() << "it never becomes " << StateName(state) << " but is "
                << (updates.empty() ? "not there" : updates.front().ShortDebugString());
}

uint32_t World::Champion() {
  uint32_t version = 0;
  EXPECT_TRUE(database
                  ->Read([&](Transaction& transaction) -> Status {
                    ATTUNE_ASSIGN_OR_RETURN(version,
                                            models.AliasVersion(transaction, "tuned", "champion"));
                    return Status();
                  })
                  .ok());
  return version;
}

void World::SetChampion(uint32_t version) {
  AliasMove move;
  move.model = "tuned";
  move.alias = "champion";
  move.from = Champion();
  move.to = version;
  while (models.versions["tuned"].size() < version) {
    v1::ModelVersion made;
    made.set_name("tuned");
    made.set_version(static_cast<uint32_t>(models.versions["tuned"].size() + 1));
    made.mutable_lineage()->set_base("smollm2@1");
    made.mutable_lineage()->add_datasets("docs@1");
    models.versions["tuned"].push_back(made);
  }
  EXPECT_TRUE(
      database->Write([&](Transaction& transaction) { return models.MoveAlias(transaction, move); })
          .ok());
}

int World::Count(const std::string& table) {
  int count = -1;
  EXPECT_TRUE(database
                  ->Read([&](Transaction& transaction) {
                    transaction.session() << "SELECT COUNT(*) FROM " + table, into(count);
                    return Status();
                  })
                  .ok());
  return count;
}

}  // namespace attune::retraining
