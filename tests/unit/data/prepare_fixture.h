#pragma once

// Datasets of a few rows, and a small model whose tokenizer prepares them.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine/data/prepare.h"

namespace attune::engine {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class CountingObserver : public Observer {
 public:
  void OnProgress(const Progress& progress) override {
    EXPECT_LE(progress.own, progress.done);
    EXPECT_LE(progress.done, progress.total);
    last[progress.phase] = progress;
  }
  StopRequest ShouldStop() override { return stop; }
  void OnWarning(const std::string& message) override { warnings.push_back(message); }
  std::map<std::string, Progress> last;  // of each phase
  std::vector<std::string> warnings;
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
                            const std::vector<Json>& validation = {},
                            const std::vector<Json>& unlabelled = {}) {
    std::vector<Shard> shards = {{"train", train}, {"validation", validation}};
    if (!unlabelled.empty()) shards.push_back({"unlabelled", unlabelled});
    return WriteShards(name, shards);
  }

  struct Shard {
    std::string split;
    std::vector<Json> rows;
  };
  DatasetFiles WriteShards(const std::string& name, const std::vector<Shard>& parts) {
    Json shards = Json::array();
    std::string sums;
    for (const auto& [split, rows] : parts) {
      std::string lines;
      for (Json row : rows) {
        row["id"] = Sha256Hex(row.dump()).substr(0, 32);
        lines += row.dump() + "\n";
      }
      std::string file = split + "-" + std::to_string(shards.size()) + ".jsonl";
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
    task.base = {.reference = "small@1", .path = folder_.path() / "model", .format = "huggingface"};
    task.datasets = datasets;
    task.token_cache = folder_.path() / "cache";
    task.train.sequence_length = sequence_length;
    task.train.threads = 2;
    return task;
  }

  // The files of the token cache, by path.
  std::vector<fs::path> CacheFiles() const {
    std::vector<fs::path> files;
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path() / "cache", error)) {
      if (!entry.is_directory()) files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
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

inline Json Text(const std::string& text) {
  return {{"kind", "text"}, {"text", text}};
}
inline Json Chat(std::vector<std::pair<std::string, std::string>> turns) {
  Json messages = Json::array();
  for (auto& [role, content] : turns) messages.push_back({{"role", role}, {"content", content}});
  return {{"kind", "messages"}, {"messages", messages}};
}
inline Json Pair(const std::string& prompt, const std::string& completion) {
  return {{"kind", "prompt_completion"}, {"prompt", prompt}, {"completion", completion}};
}

}  // namespace attune::engine
