#include "tests/unit/coordinator/drift/stream_fixture.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "coordinator/drift/schema.h"
#include "coordinator/drift/text.h"
#include "coordinator/store/events.h"
#include "coordinator/versions/table.h"

namespace attune::drift {
namespace {

using nlohmann::json;

// The difference of the first coordinates' means; above a half it is drift.
Result<std::vector<v1::DetectorResult>> DetectMeans(const Sample& reference, const Sample& window,
                                                    const DetectOptions& options) {
  auto mean = [](const Sample& sample) {
    double sum = 0;
    for (size_t i = 0; i < sample.ids.size(); ++i) sum += sample.embeddings[2 * i];
    return sum / static_cast<double>(sample.ids.size());
  };
  v1::DetectorResult result;
  result.set_detector("mmd");
  result.set_feature("embedding");
  result.set_effect(std::abs(mean(window) - mean(reference)));
  result.set_effect_name("difference");
  result.set_effect_min(0.5);
  result.set_drifted(result.effect() >= 0.5);
  result.set_adjusted_p(result.drifted() ? 0 : 1);
  result.set_level(0.01);
  result.set_statistic(options.looks_per_week);
  return std::vector<v1::DetectorResult>{result};
}

}  // namespace

std::string Rows(const std::string& word, int from, int to) {
  std::string rows;
  for (int i = from; i < to; ++i) {
    rows += json({{"text", word + " " + std::to_string(i)}}).dump() + "\n";
  }
  return rows;
}

Result<v1::Job> FakeRunner::Submit(const v1::SubmitJobRequest& request) {
  if (!refuse.ok()) return refuse;
  EXPECT_EQ(request.kind(), v1::Job::EMBED);
  auto known = requests.find(request.request_id());
  if (known != requests.end()) return jobs.at(known->second);
  v1::Job job;
  job.set_id("job-" + std::to_string(jobs.size() + 1));
  job.set_kind(request.kind());
  *job.mutable_task() = request.task();
  const bool fails = fail_datasets.contains(request.task().embed().dataset());
  job.set_state(fails ? v1::Job::FAILED : ends);
  if (fails) job.set_reason("out of memory");
  jobs[job.id()] = job;
  requests[request.request_id()] = job.id();
  return job;
}

Result<v1::Job> FakeRunner::Cancel(const v1::CancelJobRequest& request) {
  auto job = jobs.find(request.id());
  if (job == jobs.end()) return NotFound("no job " + request.id());
  if (job->second.state() == v1::Job::QUEUED) job->second.set_state(v1::Job::CANCELLED);
  return job->second;
}

Result<v1::Job> FakeRunner::Get(const std::string& id) {
  auto job = jobs.find(id);
  if (job == jobs.end()) return NotFound("no job " + id);
  return job->second;
}

Status FakeRunner::ReadOutput(const std::string& id, const TakeLine& take) {
  if (removed.contains(id)) return NotFound("the output of " + id + " is gone");
  ATTUNE_ASSIGN_OR_RETURN(v1::Job job, Get(id));
  auto problem = unreadable.find(job.task().embed().dataset());
  if (problem != unreadable.end()) {
    ++unread;
    return problem->second;
  }
  const v1::EmbedRequest& embed = job.task().embed();
  std::set<std::string, std::less<>> ids;
  if (embed.split() != "all") {
    ATTUNE_RETURN_IF_ERROR(catalog->ForEachId(embed.dataset(), embed.split(),
                                              [&](std::string_view row) { ids.emplace(row); }));
  }
  uint32_t left = embed.max_examples();
  return catalog->ForEachRow(embed.dataset(), [&](std::string_view line) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(RowFacts row, ReadShardLine(line));
    if ((embed.split() != "all" && !ids.contains(row.id)) || left == 0) return Status();
    --left;
    const float embedding[2] = {row.text.starts_with("new") ? 1.0f : 0.0f,
                                static_cast<float>(row.text.size()) / 1000};
    json out = {
        {"id", row.id},
        {"tokens", row.text.size()},
        {"loss", 2.5},
        {"entropy", 1.5},
        {"embedding", EncodeBytes({reinterpret_cast<const char*>(embedding), sizeof embedding})}};
    return take(out.dump());
  });
}

Status FakeRunner::RemoveOutput(const std::string& id) {
  removed.insert(id);
  return Status();
}

std::vector<std::string> FakeRunner::JobsOf(const std::string& dataset) const {
  std::vector<std::string> ids;
  for (const auto& [id, job] : jobs) {
    if (job.task().embed().dataset() == dataset) ids.push_back(id);
  }
  return ids;
}

StreamTest::StreamTest() {
  Restart();
  Import("docs", Rows("old", 0, 200));
  AddModel(1, "docs@1");
}

StreamTest::~StreamTest() = default;

Status StreamTest::Fault(std::string_view step) {
  if (on_fault_) on_fault_(step);
  if (fault_ != step) return Status();
  fault_.clear();
  crashed_ = true;
  return Internal("crashed at " + std::string(step));
}

void StreamTest::Restart() {
  monitor_.reset();
  observations_.reset();
  catalog_.reset();
  database_.reset();
  std::vector<Migration> migrations = Migrations();
  for (const Migration& migration : versions::Migrations()) migrations.push_back(migration);
  auto database = Database::Open(folder_.path() / "attune.db", migrations, &clock_);
  ATTUNE_CHECK(database.ok());
  database_ = *std::move(database);
  catalog_ = std::make_unique<datasets::Catalog>(database_.get(), folder_.path());
  ATTUNE_CHECK(catalog_->Reconcile().ok());
  runner_.catalog = catalog_.get();
  observation_options_.fault = [this](std::string_view step) { return Fault(step); };
  observations_ =
      std::make_unique<ObservationStore>(database_.get(), folder_.path(), observation_options_);
  ATTUNE_CHECK(observations_->Reconcile().ok());
  MonitorPorts ports;
  ports.database = database_.get();
  ports.clock = &clock_;
  ports.catalog = catalog_.get();
  ports.runner = &runner_;
  ports.observations = observations_.get();
  ports.find_model = [this](const std::string& name) -> Result<v1::ModelVersion> {
    auto model = models_.find(name);
    if (model == models_.end()) return NotFound("there is no model '" + name + "'");
    return model->second;
  };
  ports.storage = folder_.path();
  ports.on_window = [this](const std::string& state) { window_states_.push_back(state); };
  ports.detectors.detect = DetectMeans;
  ports.open_folder = open_folder_;
  ports.folder_patience = folder_patience_;
  ports.fault = [this](std::string_view step) { return Fault(step); };
  monitor_ = std::make_unique<Monitor>(ports);
}

void StreamTest::TickThroughCrash() {
  crashed_ = false;
  monitor_->Tick();
  ASSERT_TRUE(crashed_) << "the step was not reached: " << fault_;
  Restart();
  monitor_->Tick();
}

v1::StreamSpec StreamTest::Spec() const {
  v1::StreamSpec spec;
  spec.set_name("live");
  spec.set_model("m@champion");
  spec.mutable_window()->set_examples(10);
  spec.mutable_window()->set_seconds(3600);
  spec.mutable_window()->set_examples_min(10);
  return spec;
}

void StreamTest::Apply(const v1::StreamSpec& spec) {
  v1::ApplyStreamRequest request;
  *request.mutable_spec() = spec;
  Result<v1::Stream> stream = monitor_->Apply(request);
  ASSERT_TRUE(stream.ok()) << stream.status().ToString();
}

Result<v1::ObserveResponse> StreamTest::Observe(const std::string& rows,
                                                const std::string& request_id,
                                                const std::string& stream) {
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Batch> batch, observations_->Start(request_id, stream));
  // In two pieces, as it may arrive.
  const size_t half = rows.size() / 2;
  ATTUNE_RETURN_IF_ERROR(batch->Append("rows.jsonl", std::string_view(rows).substr(0, half)));
  ATTUNE_RETURN_IF_ERROR(batch->Append("rows.jsonl", std::string_view(rows).substr(half)));
  return batch->Finish();
}

v1::Stream StreamTest::Stream(const std::string& name) {
  Result<v1::Stream> stream = monitor_->Get(name);
  EXPECT_TRUE(stream.ok()) << stream.status().ToString();
  return stream.ok() ? *stream : v1::Stream();
}

std::vector<v1::Window> StreamTest::Windows(const std::string& name) {
  auto windows = monitor_->Windows(name, 0, 1000);
  EXPECT_TRUE(windows.ok()) << windows.status().ToString();
  return windows.ok() ? *windows : std::vector<v1::Window>();
}

std::vector<std::string> StreamTest::Texts(const std::string& dataset) {
  std::vector<std::string> texts;
  Status status = catalog_->ForEachRow(dataset, [&](std::string_view line) -> Status {
    ATTUNE_ASSIGN_OR_RETURN(RowFacts row, ReadShardLine(line));
    texts.push_back(row.text);
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  std::sort(texts.begin(), texts.end());
  return texts;
}

std::vector<std::string> StreamTest::EventTypes(const std::string& stream) {
  std::vector<std::string> types;
  Status status = database_->Read([&](Transaction& transaction) {
    for (const Event& event : ReadEvents(transaction, "stream", stream, 0, 10'000)) {
      types.push_back(event.type);
    }
    return Status();
  });
  EXPECT_TRUE(status.ok()) << status.ToString();
  return types;
}

void StreamTest::Import(const std::string& name, const std::string& rows) {
  v1::ImportDatasetRequest::Header header;
  header.set_name(name);
  auto import = catalog_->StartImport(header);
  ASSERT_TRUE(import.ok()) << import.status().ToString();
  ASSERT_TRUE((*import)->Append("rows.jsonl", rows).ok());
  ASSERT_TRUE((*import)->Finish().ok());
}

void StreamTest::AddModel(uint32_t version, const std::string& dataset) {
  v1::ModelVersion model;
  model.set_name("m");
  model.set_version(version);
  if (!dataset.empty()) model.mutable_lineage()->add_datasets(dataset);
  models_["m@champion"] = model;
}

std::vector<std::string> StreamTest::LiveFiles() const {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(folder_.path() / "live", error), end;
       !error && it != end; it.increment(error)) {
    if (it->is_regular_file()) files.push_back(it->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace attune::drift
