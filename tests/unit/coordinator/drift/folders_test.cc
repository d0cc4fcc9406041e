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
  uint64_t LookAfter(int seconds) {
    clock_.Advance(std::chrono::seconds(seconds));
    EXPECT_TRUE(monitor_->ReadFolders().ok());
    monitor_->Tick();
    return Stream().observed();
  }
  // Looks, waits until files count as settled, looks again.
  uint64_t Settle() {
    LookAfter(0);
    return LookAfter(6);
  }

  const fs::path watched_ = folder_.path() / "watched";
};

TEST_F(FoldersTest, AFileIsReadOnceItHasSettledAndOnce) {
  Write("a.jsonl", Rows("old", 0, 5));
  Write("notes.txt", Rows("old", 5, 9));
  LookAfter(0);
  EXPECT_EQ(LookAfter(4), 0u);
  Append("a.jsonl", Rows("old", 5, 7));  // still grows
  EXPECT_EQ(LookAfter(4), 0u);
  EXPECT_EQ(LookAfter(6), 7u);
  EXPECT_EQ(LookAfter(60), 7u);
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
  LookAfter(0);
  FailOnce("appended");
  EXPECT_EQ(LookAfter(6), 0u);
  Restart();
  EXPECT_EQ(Settle(), 5u);
}

TEST_F(FoldersTest, BadFilesAndFoldersAreNamedAndKeepNobodyWaiting) {
  Write("a.jsonl", "no json\n");
  Write("b.jsonl", Rows("old", 0, 3));
  EXPECT_EQ(Settle(), 3u);
  EXPECT_THAT(Stream().rejected_last(), HasSubstr("1 row: " + (watched_ / "a.jsonl").string()));
  fs::remove_all(watched_);
  LookAfter(0);
  EXPECT_THAT(Stream().problem(), HasSubstr(watched_.string()));
  ASSERT_TRUE(Observe(Rows("old", 3, 4)).ok());
  EXPECT_EQ(Stream().observed(), 4u);
}

TEST_F(FoldersTest, RejectedRowsAreCountedAndTheNewestNamedForGood) {
  Write("a.jsonl", "no json\n" + Rows("old", 0, 2));
  EXPECT_EQ(Settle(), 2u);
  Restart();
  EXPECT_EQ(Settle(), 2u);
  const v1::Stream stream = Stream();
  EXPECT_EQ(stream.rejected(), 1u);
  EXPECT_THAT(stream.rejected_last(), HasSubstr("a.jsonl:1: "));
  EXPECT_EQ(stream.rejected_at().seconds(), 1'700'000'006);
  EXPECT_EQ(stream.problem(), "");  // they keep nothing from going on
}

TEST_F(FoldersTest, AHalfWrittenLineIsLeftUntilItIsWhole) {
  const std::string rows = Rows("old", 0, 4);
  Write("a.jsonl", rows.substr(0, rows.size() - 5));
  EXPECT_EQ(Settle(), 3u);
  EXPECT_EQ(LookAfter(60), 3u);
  Restart();
  EXPECT_EQ(Settle(), 3u);
  Append("a.jsonl", rows.substr(rows.size() - 5));
  EXPECT_EQ(Settle(), 4u);
  EXPECT_EQ(Stream().problem(), "");
}

TEST_F(FoldersTest, ALastLineWithoutItsNewlineIsTakenOnceTheFileIsFinished) {
  std::string rows = Rows("old", 0, 3);
  rows.pop_back();
  Write("a.jsonl", rows);
  EXPECT_EQ(Settle(), 2u);
  EXPECT_EQ(LookAfter(580), 2u);
  EXPECT_EQ(LookAfter(30), 3u);
  EXPECT_EQ(LookAfter(3600), 3u);
  Restart();
  EXPECT_EQ(Settle(), 3u);
}

// A folder that a test sees into.
class FakeSource final : public objects::ObjectSource {
 public:
  struct File {
    std::string content;
    uint64_t listed = 0;  // its size when it was listed; it may have grown since
    int reads = 0;
    Status answer = {};  // of a read
  };
  FakeSource(std::map<std::string, File>* files, const std::function<Status()>& on_read)
      : files_(files), on_read_(on_read) {}

  Result<std::vector<objects::Object>> List(std::string_view) override {
    std::vector<objects::Object> objects;
    for (const auto& [name, file] : *files_) objects.push_back({name, file.listed, TimePoint()});
    return objects;
  }
  Status Read(const std::string& name,
              const std::function<Status(std::string_view bytes)>& take) override {
    ++files_->at(name).reads;
    ATTUNE_RETURN_IF_ERROR(on_read_());
    ATTUNE_RETURN_IF_ERROR(files_->at(name).answer);
    return take(files_->at(name).content);
  }

 private:
  std::map<std::string, File>* const files_;
  const std::function<Status()>& on_read_;
};

class FakeFolderTest : public StreamTest {
 protected:
  FakeFolderTest() {
    v1::StreamSpec spec = Spec();
    spec.mutable_window()->set_examples(1000);
    Apply(spec);
  }

  void Start() {
    reader_ = std::make_unique<FolderReader>(
        database_.get(), observations_.get(), &clock_,
        [this](const std::string&) { return std::make_unique<FakeSource>(&files_, on_read_); });
  }
  Status ReadAfter(int seconds) {
    clock_.Advance(std::chrono::seconds(seconds));
    StreamRecord stream;
    Status found = database_->Read([&](Transaction& transaction) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(stream, FindStream(transaction, "live"));
      return Status();
    });
    EXPECT_TRUE(found.ok()) << found.ToString();
    if (watched_) stream.stream.mutable_spec()->add_folders("/fake");
    return reader_->Read(stream);
  }

  bool watched_ = true;
  std::map<std::string, FakeSource::File> files_;
  std::function<Status()> on_read_ = [] { return Status(); };
  std::unique_ptr<FolderReader> reader_;
};

TEST_F(FakeFolderTest, AFileThatGrowsBetweenListAndReadIsObservedOnce) {
  files_["a.jsonl"] = {Rows("old", 0, 5), Rows("old", 0, 3).size()};
  Start();
  EXPECT_TRUE(ReadAfter(0).ok());
  EXPECT_TRUE(ReadAfter(6).ok());
  EXPECT_EQ(Stream().observed(), 3u);
  files_["a.jsonl"].listed = files_["a.jsonl"].content.size();
  EXPECT_TRUE(ReadAfter(1).ok());
  EXPECT_TRUE(ReadAfter(6).ok());
  EXPECT_EQ(Stream().observed(), 5u);
}

TEST_F(FakeFolderTest, FilesThatCannotBeTakenAreAllNamedAndReadEverMoreRarely) {
  observation_options_.backlog_bytes_max = 100;
  Restart();
  const std::string rows = Rows("old", 0, 100);
  files_["a.jsonl"] = {rows, rows.size()};
  files_["b.jsonl"] = {rows, rows.size() / 2};
  Start();
  EXPECT_TRUE(ReadAfter(0).ok());
  const Status refused = ReadAfter(6);
  EXPECT_THAT(refused.message(), HasSubstr("/fake/a.jsonl"));
  EXPECT_THAT(refused.message(), HasSubstr("/fake/b.jsonl"));
  const int once = files_["a.jsonl"].reads;
  EXPECT_FALSE(ReadAfter(30).ok());
  EXPECT_EQ(files_["a.jsonl"].reads, 2 * once);
  EXPECT_FALSE(ReadAfter(59).ok());  // still said, not read
  EXPECT_EQ(files_["a.jsonl"].reads, 2 * once);
  EXPECT_FALSE(ReadAfter(1).ok());
  EXPECT_EQ(files_["a.jsonl"].reads, 3 * once);
  for (int i = 0; i < 12; ++i) EXPECT_FALSE(ReadAfter(3600).ok());
  // An hour at most; of a file that is finished the last newline is not looked for.
  EXPECT_EQ(files_["a.jsonl"].reads, 3 * once + 12 * (once - 1));
}

TEST_F(FakeFolderTest, AFileThatHangsEndsTheTurnAndTheFolderIsLeftForAWhile) {
  const std::string rows = Rows("old", 0, 3);
  files_["a.jsonl"] = {rows, rows.size()};
  files_["b.jsonl"] = {rows, rows.size()};
  Start();
  EXPECT_TRUE(ReadAfter(0).ok());
  on_read_ = [] { return DeadlineExceeded("no answer"); };
  EXPECT_THAT(ReadAfter(6).message(), HasSubstr("no answer"));
  EXPECT_EQ(files_["b.jsonl"].reads, 0);
  on_read_ = [] { return Status(); };
  EXPECT_THAT(ReadAfter(299).message(), HasSubstr("no answer"));  // still said
  EXPECT_EQ(files_["b.jsonl"].reads, 0);
  EXPECT_FALSE(ReadAfter(1).ok());
  EXPECT_EQ(Stream().observed(), 3u);
  EXPECT_TRUE(ReadAfter(30).ok());
}

TEST_F(FakeFolderTest, AFileThatHangsAgainAndAgainKeepsNoOtherFileWaiting) {
  const std::string rows = Rows("old", 0, 3);
  files_["a.jsonl"] = {rows, rows.size()};
  files_["b.jsonl"] = {rows, rows.size()};
  files_["a.jsonl"].answer = DeadlineExceeded("no answer");
  Start();
  EXPECT_TRUE(ReadAfter(0).ok());
  EXPECT_FALSE(ReadAfter(6).ok());
  EXPECT_THAT(ReadAfter(300).message(), HasSubstr("/fake/a.jsonl: no answer"));  // still said
  EXPECT_EQ(files_["a.jsonl"].reads, 1);
  EXPECT_EQ(Stream().observed(), 3u);
  EXPECT_FALSE(ReadAfter(30).ok());
  EXPECT_EQ(files_["a.jsonl"].reads, 2);
}

TEST_F(FakeFolderTest, ATurnEndsAndTheNextGoesOn) {
  const std::string rows = Rows("old", 0, 3), more = Rows("new", 0, 4);
  files_["a.jsonl"] = {rows, rows.size()};
  files_["b.jsonl"] = {more, more.size()};
  Start();
  EXPECT_TRUE(ReadAfter(0).ok());
  on_read_ = [this] {  // three times for a file
    clock_.Advance(kTurn / 3);
    return Status();
  };
  EXPECT_TRUE(ReadAfter(6).ok());
  EXPECT_EQ(Stream().observed(), 3u);
  EXPECT_TRUE(ReadAfter(1).ok());
  EXPECT_EQ(Stream().observed(), 7u);
}

TEST_F(FakeFolderTest, AFolderThatIsWatchedNoMoreHasNoProblems) {
  files_["a.jsonl"] = {Rows("old", 0, 3), 20};
  Start();
  EXPECT_TRUE(ReadAfter(0).ok());
  on_read_ = [] { return Unavailable("out of order"); };
  EXPECT_THAT(ReadAfter(6).message(), HasSubstr("out of order"));
  watched_ = false;
  EXPECT_TRUE(ReadAfter(0).ok());
}

}  // namespace
}  // namespace attune::drift
