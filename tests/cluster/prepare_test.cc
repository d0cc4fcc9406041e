// The data of a job is tokenized by all its ranks, once: what a killed attempt has finished stays.

#include <sys/stat.h>

#include <algorithm>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;

constexpr int kShards = 12;

class PrepareTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));
    ASSERT_NO_FATAL_FAILURE(ImportSlowModel());
    ASSERT_NO_FATAL_FAILURE(ImportShards());
  }

  // "tiny", whose chat template takes its time with every conversation.
  void ImportSlowModel() {
    const fs::path folder = cluster_.home() / "in/tiny";
    ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
    Json config = Json::parse(*ReadFile(folder / "tokenizer_config.json"));
    config["chat_template"] =
        "{% for i in range(20000) %}{% set x = i %}{% endfor %}{% for m in messages %}"
        "<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    ASSERT_TRUE(WriteFileAtomically(folder / "tokenizer_config.json", config.dump()).ok());
    Finished model = cluster_.Attune({"model", "import", "tiny", folder.string()});
    ASSERT_EQ(model.exit_code, 0) << model.err;
  }

  // "docs", and its training shard cut into many, as that of a large data set is.
  void ImportShards() {
    std::string rows;
    for (int i = 0; i < 480; ++i) {
      rows += R"({"messages":[{"role":"user","content":"What is )" + std::to_string(i) +
              R"(?"},{"role":"assistant","content":"A number."}]})" + "\n";
    }
    Finished data = cluster_.Attune(
        {"dataset", "import", "docs", cluster_.Write("in/docs.jsonl", rows).string()});
    ASSERT_EQ(data.exit_code, 0) << data.err;
    const fs::path folder = cluster_.storage() / "datasets/docs/1";
    Json manifest = Json::parse(*ReadFile(folder / "manifest.json")), shards = Json::array();
    for (const Json& shard : manifest["shards"]) {
      if (shard["split"] != "train") {
        shards.push_back(shard);
        continue;
      }
      const auto file = shard["file"].get<std::string>();
      for (const Json& part : Cut(folder, *ReadFile(folder / file))) shards.push_back(part);
    }
    manifest["shards"] = shards;
    ASSERT_TRUE(WriteFileAtomically(folder / "manifest.json", manifest.dump()).ok());
    shards_ = shards.size();
  }

  Json Cut(const fs::path& folder, const std::string& lines) {
    std::vector<std::string> parts(kShards);
    std::vector<int> examples(kShards);
    size_t number = 0;
    for (size_t start = 0; start < lines.size(); ++number) {
      const size_t end = lines.find('\n', start) + 1;
      parts[number % kShards] += lines.substr(start, end - start);
      ++examples[number % kShards];
      start = end;
    }
    Json shards = Json::array();
    for (int i = 0; i < kShards; ++i) {
      const std::string file = "part-" + std::to_string(i) + ".jsonl";
      EXPECT_TRUE(WriteFileAtomically(folder / file, parts[i]).ok());
      shards.push_back({{"file", file},
                        {"split", "train"},
                        {"examples", examples[i]},
                        {"bytes", parts[i].size()},
                        {"sha256", Sha256Hex(parts[i])}});
    }
    return shards;
  }

  // What says that a file of the token cache is still the same, by its name.
  std::map<std::string, std::pair<ino_t, int64_t>> CacheFiles() const {
    std::map<std::string, std::pair<ino_t, int64_t>> files;
    std::error_code error;
    for (const auto& entry :
         fs::recursive_directory_iterator(cluster_.storage() / "cache/tokens", error)) {
      struct stat info {};
      if (entry.is_directory() || stat(entry.path().c_str(), &info) != 0) continue;
      files[entry.path().filename()] = {info.st_ino, info.st_mtim.tv_nsec};
    }
    return files;
  }
  std::map<std::string, std::pair<ino_t, int64_t>> FinishedFiles() const {
    auto files = CacheFiles();
    std::erase_if(files, [](const auto& file) { return !file.first.ends_with(".tokens"); });
    return files;
  }

  Cluster cluster_;
  size_t shards_ = 0;
};

TEST_F(PrepareTest, AKilledAttemptIsGoneOnWithAndItsFinishedShardsStay) {
  const std::string job = cluster_.Submit(Spec("killed", 2, 3));
  ASSERT_TRUE(Eventually([&] { return FinishedFiles().size() >= 2; }));
  const std::vector<pid_t> trainers = cluster_.Trainers("worker-1");
  ASSERT_EQ(trainers.size(), 1u);
  cluster_.Kill(trainers[0]);
  const auto before = FinishedFiles();
  ASSERT_LT(before.size(), shards_) << "the data was prepared before the kill";
  const Json ended = cluster_.WaitForEnd(job);
  ASSERT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
  EXPECT_EQ(ended["restarts"], 1);
  const auto after = FinishedFiles();
  EXPECT_EQ(after.size(), shards_);
  for (const auto& [file, identity] : before) {
    ASSERT_TRUE(after.contains(file));
    EXPECT_EQ(after.at(file), identity) << file << " was made again";
  }
  // What it has not finished stays until it is old: another host might still write it.
  for (const auto& entry : fs::recursive_directory_iterator(cluster_.storage() / "cache/tokens")) {
    if (!entry.is_regular_file()) continue;
    fs::last_write_time(entry, entry.last_write_time() - std::chrono::hours(1));
  }
  ASSERT_EQ(cluster_.WaitForEnd(cluster_.Submit(Spec("next", 1, 3)))["state"], "SUCCEEDED");
  EXPECT_EQ(CacheFiles().size(), shards_) << "something unfinished is left";
}

TEST_F(PrepareTest, ProgressIsOneNumberOfAllRanksAndDoesNotFall) {
  const std::string job = cluster_.Submit(Spec("shown", 2, 3));
  std::map<std::string, double> last;  // by phase
  double total = 0;
  bool eta = false;
  const Json ended = cluster_.WaitFor(job, [&](const Json& shown) {
    const Json progress = shown.value("progress", Json::object());
    if (shown["state"] == "PREPARING" && progress.contains("total")) {
      const double done = progress.value("done", 0.0);
      double& before = last[progress.value("phase", "")];
      EXPECT_GE(done, before);
      before = done;
      total = progress["total"];
      eta = eta || progress.contains("seconds_left");
    }
    return IsFinal(shown);
  });
  EXPECT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
  EXPECT_FALSE(ended.contains("progress"));
  EXPECT_EQ(total, 480);
  EXPECT_GT(last["tokenizing"], 0);
  last.erase("tokenizing");
  last.erase("verifying");
  EXPECT_TRUE(last.empty()) << last.begin()->first;
  EXPECT_TRUE(eta);
}

TEST_F(PrepareTest, TwoJobsShareTheWork) {
  const std::string one = cluster_.Submit(Spec("one", 1, 3));
  const std::string two = cluster_.Submit(Spec("two", 1, 3));
  for (const std::string& job : {one, two}) {
    const Json ended = cluster_.WaitForEnd(job);
    EXPECT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
  }
  EXPECT_EQ(CacheFiles().size(), shards_);
}

}  // namespace
}  // namespace attune::cluster
