// kill -9 of the coordinator in the middle of imports and deletions: no half version, no example
// lost or twice, and the space comes back.

#include <gmock/gmock.h>

#include <future>
#include <set>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kRows = 30000;  // 30 MB: an import takes long enough to be killed in

std::string LongRows(int from, int to) {
  std::string rows;
  for (int i = from; i < to; ++i) {
    rows += "{\"text\":\"row " + std::to_string(i) + " " + std::string(1000, 'x') + "\"}\n";
  }
  return rows;
}

class DatasetVersionsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.Use({{"ATTUNE_TEST_DEATH", cluster_.Write("death", "0").string()}});
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(0));
    pid_ = cluster_.Pid("coordinator");
    rows_ = cluster_.Write("in/rows.jsonl", LongRows(0, kRows)).string();
    more_ = cluster_.Write("in/more.jsonl", LongRows(kRows, kRows + 300)).string();
  }

  void Restart(int commits = 0) {
    cluster_.Write("death", std::to_string(commits));
    pid_ = cluster_.StartCoordinator();
  }
  std::set<std::string> Names(const std::string& sub = "") const {
    std::set<std::string> names;
    std::error_code error;
    for (fs::recursive_directory_iterator it(cluster_.storage() / "datasets" / sub, error), end;
         !error && it != end; it.increment(error)) {
      names.insert(it->path().filename().string());
    }
    return names;
  }
  bool HasFileLike(const std::string& part) const {
    for (const std::string& name : Names()) {
      if (name.find(part) != std::string::npos) return true;
    }
    return false;
  }
  uint64_t BytesStored() const {
    uint64_t bytes = 0;
    for (const auto& entry : fs::recursive_directory_iterator(cluster_.storage() / "datasets")) {
      if (entry.is_regular_file()) bytes += entry.file_size() / entry.hard_link_count();
    }
    return bytes;
  }
  Json Show(const std::string& reference) const {
    return cluster_.AttuneJson({"dataset", "show", reference});
  }
  static int Examples(const Json& version) {
    int sum = 0;
    for (const auto& [split, count] : version["examples"].items()) {
      sum += std::stoi(count.is_string() ? count.get<std::string>() : count.dump());
    }
    return sum;
  }

  Cluster cluster_;
  pid_t pid_ = 0;
  std::string rows_, more_;
};

TEST_F(DatasetVersionsTest, AnImportGoesOnWhereverItIsKilled) {
  // When its folder is there, while rows are spooled, and while shards are written.
  int number = 0;
  for (const char* moment : {".import", ".unnamed", ".rows", "validation-"}) {
    SCOPED_TRACE(moment);
    const std::string name = "docs-" + std::to_string(++number);
    auto import = std::async(std::launch::async, [&] {
      return cluster_.Attune({"dataset", "import", name, rows_});
    });
    EXPECT_TRUE(Eventually([&] {
      return HasFileLike(moment) || import.wait_for(seconds(0)) == std::future_status::ready;
    }));
    ASSERT_NO_FATAL_FAILURE(cluster_.Kill(pid_));
    Restart();
    const Finished finished = import.get();
    ASSERT_EQ(finished.exit_code, 0) << finished.err;
    // Where the import came first, nothing has waited for the new coordinator yet.
    ASSERT_TRUE(Eventually([&] { return cluster_.Attune({"job", "list"}).exit_code == 0; }));
    const Json version = Show(name);
    EXPECT_EQ(version["version"], 1);
    EXPECT_EQ(Examples(version), kRows);
    EXPECT_FALSE(HasFileLike(".import")) << ::testing::PrintToString(Names());
    ASSERT_EQ(cluster_.Attune({"dataset", "delete", name, "--all"}).exit_code, 0);
    EXPECT_TRUE(Names().empty()) << ::testing::PrintToString(Names());
  }
}

TEST_F(DatasetVersionsTest, ADeletionIsFinishedAtTheNextStart) {
  ASSERT_EQ(cluster_.Attune({"dataset", "import", "docs", rows_}).exit_code, 0);
  const uint64_t first = BytesStored();
  ASSERT_EQ(cluster_.Attune({"dataset", "import", "docs", more_, "--append"}).exit_code, 0);
  EXPECT_LT(BytesStored(), first + first / 50) << "the second version adds one percent";
  ASSERT_EQ(cluster_.Attune({"dataset", "import", "docs", more_}).exit_code, 0);
  ASSERT_NO_FATAL_FAILURE(cluster_.Kill(pid_));
  Restart(/*commits=*/1);
  auto deletion = std::async(std::launch::async, [&] {
    return cluster_.Attune({"dataset", "delete", "docs@2"});
  });
  EXPECT_TRUE(Eventually([&] { return !IsAlive(pid_); }));
  EXPECT_TRUE(Names("docs").contains("2")) << "it died before the folder went";
  Restart();
  const Finished finished = deletion.get();
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_FALSE(Names("docs").contains("2"));
  EXPECT_FALSE(HasFileLike("removed"));
  EXPECT_EQ(Examples(Show("docs@1")), kRows);
  EXPECT_EQ(Examples(Show("docs@3")), 300);
  EXPECT_EQ(cluster_.AttuneLines({"dataset", "sample", "docs@1", "-n", "20"}).size(), 20u);
  EXPECT_EQ(cluster_.Attune({"dataset", "show", "docs@2"}).exit_code, 3);
  EXPECT_LT(BytesStored(), first + first / 50);
}

TEST_F(DatasetVersionsTest, AnOpenJobKeepsItsDataAndAScheduleUnlessForced) {
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  const std::string job = cluster_.Submit(Spec("waits", 1, 1));  // no worker: it stays in the queue
  Finished refused = cluster_.Attune({"dataset", "delete", "docs@1", "--force"});
  EXPECT_EQ(refused.exit_code, 5);
  EXPECT_THAT(refused.err, HasSubstr(job + " is QUEUED"));
  Finished planned = cluster_.Attune({"dataset", "delete", "docs", "--all", "--dry-run"});
  EXPECT_EQ(planned.exit_code, 0);
  EXPECT_THAT(planned.out, HasSubstr("cannot go"));
  ASSERT_EQ(cluster_.Attune({"job", "cancel", job}).exit_code, 0);
  const std::string spec =
      cluster_
          .Write("in/schedule.yaml",
                 "name: nightly\njob: {base: tiny, dataset: docs, method: full}\n"
                 "trigger: {cron: \"0 3 * * *\"}\npromote: {model: tuned}\n")
          .string();
  ASSERT_EQ(cluster_.Attune({"schedule", "apply", spec}).exit_code, 0);
  refused = cluster_.Attune({"dataset", "delete", "docs@1"});
  EXPECT_EQ(refused.exit_code, 5);
  EXPECT_THAT(refused.err, HasSubstr("schedule nightly trains on it"));
  EXPECT_EQ(cluster_.Attune({"dataset", "delete", "docs@1", "--force"}).exit_code, 0);
  EXPECT_TRUE(Names().empty()) << ::testing::PrintToString(Names());
}

}  // namespace
}  // namespace attune::cluster
