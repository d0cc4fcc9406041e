#include "worker/engine/data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/support/temporary_folder.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using testing::HasSubstr;

class CountingObserver : public Observer {
 public:
  void OnProgress(const Progress& progress) override {
    EXPECT_EQ(progress.phase, "tokenizing");
    EXPECT_LE(progress.done, progress.total);
    last = progress;
  }
  StopRequest ShouldStop() override { return stop; }
  Progress last;
  StopRequest stop = StopRequest::kNone;
};

class PrepareTest : public testing::Test {
 protected:
  // The small tokenizer of the fixtures, as a model of `vocabulary` rows.
  void SetUp() override { WriteModel(600); }

  void WriteModel(int vocabulary) {
    fs::create_directories(folder_.path() / "model");
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}) {
      fs::copy_file(fs::path("tests/fixtures/text/small") / name, folder_.path() / "model" / name,
                    fs::copy_options::overwrite_existing);
    }
    Write("model/config.json", Json{{"vocab_size", vocabulary}}.dump());
  }

  void Write(const fs::path& name, const std::string& content) {
    fs::create_directories((folder_.path() / name).parent_path());
    ASSERT_TRUE(WriteFileAtomically(folder_.path() / name, content).ok());
  }

  // A dataset version of the given rows, ids added.
  DatasetFiles WriteDataset(const std::string& name, const std::vector<Json>& train,
                            const std::vector<Json>& validation = {}) {
    Json shards = Json::array();
    std::string sums;
    for (const auto& [split, rows] :
         {std::pair("train", train), std::pair("validation", validation)}) {
      std::string lines;
      for (Json row : rows) {
        row["id"] = Sha256Hex(row.dump()).substr(0, 32);
        lines += row.dump() + "\n";
      }
      std::string file = std::string(split) + "-00000.jsonl";
      Write(name + "/" + file, lines);
      sums += Sha256Hex(lines);
      shards.push_back({{"file", file},
                        {"split", split},
                        {"examples", rows.size()},
                        {"bytes", lines.size()},
                        {"sha256", Sha256Hex(lines)}});
    }
    std::string checksum = Sha256Hex(sums);
    Write(name + "/manifest.json",
          Json{{"name", name}, {"version", 1}, {"checksum", checksum}, {"shards", shards}}.dump());
    return {name + "@1", folder_.path() / name, checksum, 1};
  }

  PrepareTask Task(const std::vector<DatasetFiles>& datasets, int sequence_length = 512) {
    PrepareTask task;
    task.base = {"small@1", folder_.path() / "model", "huggingface", nullptr};
    task.datasets = datasets;
    task.token_cache = folder_.path() / "cache";
    task.train.sequence_length = sequence_length;
    task.train.threads = 2;
    return task;
  }

  size_t CacheEntries() const {
    if (!fs::exists(folder_.path() / "cache")) return 0;
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_.path() / "cache"), {}));
  }

  std::string TargetText(const TokenExample& example) {
    auto assets = text::LoadTextAssets(folder_.path() / "model");
    std::vector<uint32_t> ids;
    for (size_t i = 0; i < example.tokens.size(); ++i) {
      if (example.targets[i]) ids.push_back(example.tokens[i]);
    }
    return *assets->tokenizer->Decode(ids, false);
  }

  TemporaryFolder folder_;
  CountingObserver observer_;
};

Json Text(const std::string& text) {
  return {{"kind", "text"}, {"text", text}};
}
Json Chat(std::vector<std::pair<std::string, std::string>> turns) {
  Json messages = Json::array();
  for (auto& [role, content] : turns) messages.push_back({{"role", role}, {"content", content}});
  return {{"kind", "messages"}, {"messages", messages}};
}
Json Pair(const std::string& prompt, const std::string& completion) {
  return {{"kind", "prompt_completion"}, {"prompt", prompt}, {"completion", completion}};
}

TEST_F(PrepareTest, AssistantTurnsAreTargetsWithTheirEnd) {
  PrepareTask task = Task({WriteDataset(
      "data", {Chat({{"user", "a b"}, {"assistant", "c d"}, {"user", "e"}, {"assistant", "f"}})})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  auto data = OpenPrepared(task);
  ASSERT_TRUE(data.ok());
  EXPECT_EQ(TargetText(data->train->Example(0)), "c d<|im_end|>\nf<|im_end|>\n");
}

TEST_F(PrepareTest, CompletionIsTargetWithTheEndOfTheSequence) {
  PrepareTask task = Task({WriteDataset("data", {Pair("1 + 1 =", " 2")})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_EQ(TargetText(OpenPrepared(task)->train->Example(0)), " 2<|im_end|>");
}

TEST_F(PrepareTest, LossOnAllTakesEveryTokenButTheFirst) {
  PrepareTask task = Task({WriteDataset("data", {Pair("1 + 1 =", " 2")})});
  task.train.loss_on = "all";
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->target_tokens, result->tokens - 1);
}

TEST_F(PrepareTest, CountsWhatIsCutAndWhatIsDropped) {
  std::string longer(400, 'x');
  PrepareTask task = Task({WriteDataset("data",
                                        {Text("short"), Text(longer), Pair(longer, "never seen"),
                                         Chat({{"user", "no answer"}}), Text("")},
                                        {Text("seen later"), Text("and this")})},
                          64);
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->examples, 2);
  EXPECT_EQ(result->truncated, 2);
  EXPECT_EQ(result->without_target,
            3);  // the empty text is an end of sequence with nothing before it
  EXPECT_EQ(result->validation_examples, 2);
  EXPECT_FALSE(result->cached);
  EXPECT_EQ(observer_.last.done, 7);
  EXPECT_EQ(observer_.last.total, 7);
  auto data = OpenPrepared(task);
  EXPECT_THAT(data->train->lengths(), testing::Each(testing::Le(64u)));
}

TEST_F(PrepareTest, TheSecondTimeComesFromTheCache) {
  PrepareTask task = Task({WriteDataset("data", {Text("one"), Text("two")})});
  ASSERT_EQ(OpenPrepared(task).status().code(), StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Prepare(task, observer_).ok());
  observer_.last = Progress{};
  auto second = Prepare(task, observer_);
  ASSERT_TRUE(second.ok());
  EXPECT_TRUE(second->cached);
  EXPECT_EQ(second->examples, 2);
  EXPECT_EQ(observer_.last.total, 0);
  task.train.sequence_length = 100;
  EXPECT_FALSE(Prepare(task, observer_)->cached);
  EXPECT_EQ(CacheEntries(), 2u);
}

TEST_F(PrepareTest, ADamagedCacheIsMadeAnew) {
  PrepareTask task = Task({WriteDataset("data", {Text("one"), Text("two")})});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  fs::path entry = fs::directory_iterator(task.token_cache)->path();
  fs::resize_file(entry / "train.tokens", 50);
  EXPECT_EQ(OpenPrepared(task).status().code(), StatusCode::kDataLoss);
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_FALSE(result->cached);
  fs::remove(entry / "prepared.json");
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_TRUE(OpenPrepared(task).ok());
  EXPECT_EQ(CacheEntries(), 1u);
}

TEST_F(PrepareTest, ManyMayPrepareAtOnce) {
  std::vector<Json> rows;
  for (int i = 0; i < 300; ++i) rows.push_back(Text("text number " + std::to_string(i)));
  PrepareTask task = Task({WriteDataset("data", rows)});
  std::vector<std::thread> threads;
  std::vector<Status> results(4);
  for (Status& result : results) {
    threads.emplace_back([&task, &result] {
      Observer observer;
      auto prepared = Prepare(task, observer);
      result = prepared.ok() ? Status() : prepared.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Status& result : results) EXPECT_TRUE(result.ok()) << result.ToString();
  EXPECT_EQ(CacheEntries(), 1u);
  EXPECT_EQ(OpenPrepared(task)->train->size(), 300u);
}

TEST_F(PrepareTest, StopsWhenAsked) {
  PrepareTask task = Task({WriteDataset("data", {Text("one")})});
  observer_.stop = StopRequest::kStop;
  EXPECT_EQ(Prepare(task, observer_).status().code(), StatusCode::kCancelled);
  EXPECT_EQ(CacheEntries(), 0u);
}

TEST_F(PrepareTest, DatasetsAreMixedByWeight) {
  PrepareTask task = Task({WriteDataset("a", {Text("a1"), Text("a2")}, {Text("av")}),
                           WriteDataset("b", {Text("b1")}, {Text("bv")})});
  task.datasets[1].weight = 3;
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->examples, 5);
  EXPECT_EQ(result->validation_examples, 2);
  auto data = OpenPrepared(task);
  task.datasets[1].weight = 1;
  EXPECT_NE(OpenPrepared(task)->key, data->key);
  EXPECT_EQ(CacheEntries(), 2u);
}

TEST_F(PrepareTest, SaysWhyNothingCanBeLearned) {
  auto status = [&](const PrepareTask& task) { return Prepare(task, observer_).status(); };
  Status empty = status(Task({WriteDataset("empty", {})}));
  EXPECT_EQ(empty.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(empty.message(), HasSubstr("no example in its training split"));
  Status cut = status(Task({WriteDataset("cut", {Pair(std::string(300, 'x'), "y")})}, 16));
  EXPECT_EQ(cut.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(cut.message(), HasSubstr("raise train.sequence_length"));
  EXPECT_THAT(status(Task({WriteDataset("asked", {Chat({{"user", "x"}})})})).message(),
              HasSubstr("no assistant message"));
  EXPECT_EQ(CacheEntries(), 0u);
}

TEST_F(PrepareTest, RefusesATokenizerOfAnotherModel) {
  PrepareTask task = Task({WriteDataset("data", {Text("some words of text")})});
  WriteModel(100);
  Status larger = Prepare(task, observer_).status();
  EXPECT_EQ(larger.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(larger.message(), HasSubstr("does not belong to the model"));
  WriteModel(400);  // might be added tokens; but then a text uses one
  Status used = Prepare(task, observer_).status();
  EXPECT_EQ(used.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(used.message(), HasSubstr("the model's vocabulary has 400 entries"));
}

TEST_F(PrepareTest, RefusesMessagesWithoutATemplate) {
  fs::remove(folder_.path() / "model/chat_template.jinja");
  Status status =
      Prepare(Task({WriteDataset("data", {Chat({{"user", "x"}, {"assistant", "y"}})})}), observer_)
          .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("no chat template"));
}

TEST_F(PrepareTest, RefusesATemplateThatChangesItsMind) {
  Write("model/chat_template.jinja",
        "{{ messages | length }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}");
  Status status =
      Prepare(Task({WriteDataset("data", {Chat({{"user", "x"}, {"assistant", "y"}})})}), observer_)
          .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("message 1: the chat template renders"));
}

TEST_F(PrepareTest, RefusesADatasetThatIsNotWhatWasImported) {
  DatasetFiles dataset = WriteDataset("data", {Text("one")});
  DatasetFiles other = dataset;
  other.checksum = std::string(64, '0');
  EXPECT_EQ(Prepare(Task({other}), observer_).status().code(), StatusCode::kDataLoss);
  Write("data/train-00000.jsonl", "{\"id\":\"00\"}\n");
  Status changed = Prepare(Task({dataset}), observer_).status();
  EXPECT_EQ(changed.code(), StatusCode::kDataLoss);
  EXPECT_THAT(changed.message(), HasSubstr("train-00000.jsonl"));
  Write("data/manifest.json", "{\"checksum\":\"x\",\"shards\":[{\"file\":\"../../etc/passwd\"}]}");
  EXPECT_EQ(Prepare(Task({{"data@1", folder_.path() / "data", "", 1}}), observer_).status().code(),
            StatusCode::kDataLoss);
  EXPECT_EQ(CacheEntries(), 0u);
}

TEST_F(PrepareTest, AnAdapterUsesTheTextOfItsBase) {
  PrepareTask task = Task({WriteDataset("data", {Text("one")})});
  auto base = std::make_shared<ModelFiles>(task.base);
  fs::create_directories(folder_.path() / "adapter");
  task.base = {"adapter@1", folder_.path() / "adapter", "peft-adapter", base};
  EXPECT_TRUE(Prepare(task, observer_).ok());
  task.base.base = nullptr;
  EXPECT_EQ(Prepare(task, observer_).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace attune::engine
