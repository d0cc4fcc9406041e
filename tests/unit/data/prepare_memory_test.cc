// Two million examples take no more memory than docs/datasets.md says. A program of its own, as the
// kernel counts the most memory of a whole process.

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "tests/unit/data/prepare_fixture.h"

namespace attune::engine {
namespace {

constexpr int kShards = 20, kRowsAShard = 100'000;
constexpr int64_t kExamples = int64_t{kShards} * kRowsAShard;
constexpr int64_t kMiB = 1 << 20;

// A line of /proc/self/status, in bytes.
int64_t Memory(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name + ":")) return std::stoll(line.substr(name.size() + 1)) * 1024;
  }
  return -1;
}

// The most memory is counted anew from here on.
bool ForgetPeak() {
  std::ofstream clear("/proc/self/clear_refs");
  clear << "5" << std::flush;
  return clear.good();
}

class PrepareMemoryTest : public PrepareTest {
 protected:
  DatasetFiles WriteManyRows() {
    Json shards = Json::array();
    for (int shard = 0; shard < kShards; ++shard) {
      std::string lines;
      for (int row = shard * kRowsAShard; row < (shard + 1) * kRowsAShard; ++row) {
        char line[128];
        std::snprintf(line, sizeof line,
                      R"({"id":"%032d","kind":"text","text":"row %d"})"
                      "\n",
                      row, row);
        lines += line;
      }
      const std::string file = "train-" + std::to_string(shard) + ".jsonl";
      Write("many/" + file, lines);
      shards.push_back({{"file", file},
                        {"split", "train"},
                        {"examples", kRowsAShard},
                        {"bytes", lines.size()},
                        {"sha256", Sha256Hex(lines)}});
    }
    Write("many/manifest.json", Json{{"checksum", "many"}, {"shards", shards}}.dump());
    return {"many@1", folder_.path() / "many", "many", 1};
  }
};

TEST_F(PrepareMemoryTest, IsBounded) {
  // What a tokenizer and its caches take is there before.
  PrepareTask warm_up = Task({WriteDataset("few", {Text("one")})});
  ASSERT_TRUE(Prepare(warm_up, observer_).ok());
  PrepareTask task = Task({WriteManyRows()});
  if (!ForgetPeak()) GTEST_SKIP() << "the kernel does not count anew";
  const int64_t before = Memory("VmRSS");
  Observer observer;
  auto result = Prepare(task, observer);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->examples, kExamples);
  const int64_t prepared = Memory("VmHWM") - before;
  ASSERT_TRUE(ForgetPeak());
  const int64_t between = Memory("VmRSS");
  auto data = OpenPrepared(task);
  ASSERT_TRUE(data.ok()) << data.status().ToString();
  const int64_t opened = Memory("VmHWM") - between;
  std::printf("prepared with %lld MiB, opened with %lld MiB\n",
              static_cast<long long>(prepared / kMiB), static_cast<long long>(opened / kMiB));
  // 8 bytes an example, the text of a shard, parts of it in work, and the shard's index.
  EXPECT_LT(prepared, 8 * kExamples + 48 * kMiB);
  EXPECT_LT(opened, 8 * kExamples + 8 * kMiB);
}

}  // namespace
}  // namespace attune::engine
