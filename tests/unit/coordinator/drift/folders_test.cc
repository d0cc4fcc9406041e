#include "coordinator/drift/folders.h"

#include <fstream>

#include "common/base/files.h"
#include "tests/unit/coordinator/drift/stream_fixture.h"

namespace attune::drift {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FoldersTest : public StreamTest {
 protected:
  FoldersTest() {
    fs::create_directory(watched_);
    v1::StreamSpec spec = Spec();
    spec.mutable_window()->set_examples(1000);
    spec.add_folders(watched_.string());
    Apply(spec);
  }

  void Write(const std::string& file, const std::string& content) {
    std::ofstream(watched_ / file) << content;
  }
  void Append(const std::string& file, const std::string& content) {
    std::ofstream(watched_ / file, std::ios::app) << content;
  }
  uint64_t TickAfter(int seconds) {
    clock_.Advance(std::chrono::seconds(seconds));
    monitor_->Tick();
    return Stream().observed();
  }
  // Looks, waits until files count as settled, looks again.
  uint64_t Settle() {
    monitor_->Tick();
    return TickAfter(6);
  }

  const fs::path watched_ = folder_.path() / "watched";
};

TEST_F(FoldersTest, AFileIsReadOnceItHasSettledAndOnce) {
  Write("a.jsonl", Rows("old", 0, 5));
  Write("notes.txt", Rows("old", 5, 9));
  monitor_->Tick();
  EXPECT_EQ(TickAfter(4), 0u);
  Append("a.jsonl", Rows("old", 5, 7));  // still grows
  EXPECT_EQ(TickAfter(4), 0u);
  EXPECT_EQ(TickAfter(6), 7u);
  EXPECT_EQ(TickAfter(60), 7u);
  EXPECT_EQ(*ReadFile(watched_ / "a.jsonl"), Rows("old", 0, 7));  // it is the user's
  Restart();
  EXPECT_EQ(Settle(), 7u);
}

TEST_F(FoldersTest, AFileThatMovedOrWasTouchedIsTheSame) {
  Write("a.jsonl", Rows("old", 0, 5));
  EXPECT_EQ(Settle(), 5u);
  fs::rename(watched_ / "a.jsonl", watched_ / "b.jsonl");
  EXPECT_EQ(Settle(), 5u);
  fs::last_write_time(watched_ / "b.jsonl",
                      fs::last_write_time(watched_ / "b.jsonl") + std::chrono::hours(1));
  EXPECT_EQ(Settle(), 5u);
  fs::remove(watched_ / "b.jsonl");
  EXPECT_EQ(Settle(), 5u);
  EXPECT_EQ(Stream().problem(), "");
}

TEST_F(FoldersTest, OfAFileThatGrewOnlyWhatIsNewIsRead) {
  Write("a.jsonl", Rows("old", 0, 5));
  EXPECT_EQ(Settle(), 5u);
  Append("a.jsonl", Rows("old", 5, 8));
  EXPECT_EQ(Settle(), 8u);
  Write("a.jsonl", Rows("new", 0, 4));  // another content in its place
  EXPECT_EQ(Settle(), 12u);
}

TEST_F(FoldersTest, ACrashBeforeTheCommitReadsTheFileAgain) {
  Write("a.jsonl", Rows("old", 0, 5));
  monitor_->Tick();
  FailOnce("appended");
  EXPECT_EQ(TickAfter(6), 0u);
  Restart();
  EXPECT_EQ(Settle(), 5u);
}

TEST_F(FoldersTest, BadFilesAndFoldersAreNamedAndKeepNobodyWaiting) {
  Write("a.jsonl", "no json\n");
  Write("b.jsonl", Rows("old", 0, 3));
  EXPECT_EQ(Settle(), 3u);
  EXPECT_EQ(Stream().problem(), "");  // read, with its rows rejected
  fs::remove_all(watched_);
  monitor_->Tick();
  EXPECT_THAT(Stream().problem(), HasSubstr(watched_.string()));
  ASSERT_TRUE(Observe(Rows("old", 3, 4)).ok());
  EXPECT_EQ(Stream().observed(), 4u);
}

}  // namespace
}  // namespace attune::drift
