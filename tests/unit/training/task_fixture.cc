#include "tests/unit/training/task_fixture.h"

#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/fixtures/tiny_llama.h"
#include "tests/unit/training/ranks.h"

namespace attune::engine::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Sentences with a pattern that can be learned.
std::string Rows(int count, uint64_t seed) {
  static const std::vector<std::string> kWho = {"cat", "dog", "crow", "fox", "hen"};
  static const std::vector<std::string> kWhat = {"sleeps", "runs", "sings", "waits"};
  Random random(seed);
  std::string lines;
  for (int i = 0; i < count; ++i) {
    const std::string& who = kWho[random.Below(kWho.size())];
    std::string completion = " " + who + " " + kWhat[random.Below(kWhat.size())];
    for (uint64_t n = random.Below(4); n > 0; --n)
      completion += " and " + kWhat[random.Below(kWhat.size())];
    json row = {
        {"kind", "prompt_completion"}, {"prompt", "The " + who + ":"}, {"completion", completion}};
    row["id"] = Sha256Hex(row.dump() + std::to_string(i)).substr(0, 32);
    lines += row.dump() + "\n";
  }
  return lines;
}

DatasetFiles WriteDataset(const fs::path& folder) {
  fs::create_directories(folder);
  json shards = json::array();
  std::string sums;
  for (const auto& [split, count] : {std::pair("train", 120), std::pair("validation", 25)}) {
    const std::string lines = Rows(count, static_cast<uint64_t>(count));
    const std::string file = std::string(split) + "-00000.jsonl";
    ATTUNE_CHECK(WriteFileAtomically(folder / file, lines).ok());
    sums += Sha256Hex(lines);
    shards.push_back({{"file", file},
                      {"split", split},
                      {"examples", count},
                      {"bytes", lines.size()},
                      {"sha256", Sha256Hex(lines)}});
  }
  const std::string checksum = Sha256Hex(sums);
  const json manifest = {
      {"name", "data"}, {"version", 1}, {"checksum", checksum}, {"shards", shards}};
  ATTUNE_CHECK(WriteFileAtomically(folder / "manifest.json", manifest.dump()).ok());
  return {.reference = "data@1", .path = folder, .checksum = checksum};
}

}  // namespace

void TaskTest::SetUp() {
  ASSERT_TRUE(attune::testing::WriteTinyLlama(folder_.path() / "model").ok());
  WriteDataset(folder_.path() / "data");
  Recorder observer;
  const auto prepared = Prepare(Task("full", "unused").data, observer);
  ASSERT_TRUE(prepared.ok()) << prepared.status().ToString();
}

TrainTask TaskTest::Task(const std::string& method, const std::string& run) const {
  const fs::path data = folder_.path() / "data";
  const json manifest = json::parse(ReadAll(data / "manifest.json"));
  TrainTask task;
  task.data.base = Base();
  task.data.datasets = {{.reference = "data@1",
                         .path = data,
                         .checksum = manifest.at("checksum").get<std::string>()}};
  task.data.token_cache = folder_.path() / "cache";
  task.data.train = {.epochs = 5,
                     .max_steps = 10,
                     .sequence_length = 96,
                     .global_batch = 4,
                     .seed = 3,
                     .threads = 1};
  task.method = {.type = method, .rank = 4, .alpha = 8};
  if (method == "lora-whole") {
    task.method.type = "lora";
    task.method.dora = true;
    task.method.modules_to_save = {"embed_tokens", "lm_head", "norm", "layers.1.mlp.up_proj"};
  }
  const double learning_rate = method == "prompt-tuning" ? 5e-2 : 5e-3;
  task.optimizer = {.learning_rate = learning_rate, .weight_decay = 0.01, .warmup_steps = 1};
  task.evaluate = {.every_steps = 4};
  task.run_directory = folder_.path() / run;
  task.lineage = {{"job", "job-1"}};
  return task;
}

std::vector<TaskTest::RankResult> TaskTest::TrainOn(int world_size, const TrainTask& task,
                                                    const Adjust& adjust) const {
  std::vector<RankResult> ranks(world_size);
  RunRanks(world_size, [&](const Membership& membership, KeyValueStore* store) {
    TrainTask mine = task;
    mine.resume_from = mine.run_directory / "checkpoints";  // as a trainer does
    RankResult& rank = ranks[membership.rank];
    if (adjust) adjust(membership.rank, mine, rank.observer);
    rank.result = Train(mine, membership, store, rank.observer);
  });
  return ranks;
}

std::string ReadAll(const fs::path& file) {
  auto content = ReadFile(file);
  EXPECT_TRUE(content.ok()) << content.status().ToString();
  return content.ok() ? *content : std::string();
}

}  // namespace attune::engine::testing
