#include "coordinator/store/database.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "coordinator/store/events.h"
#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

class DatabaseTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }

  std::unique_ptr<Database> MustOpen(std::vector<Migration> migrations) {
    auto database = Database::Open(folder_ / "attune.db", migrations, &clock_);
    EXPECT_TRUE(database.ok()) << database.status().ToString();
    return database.ok() ? std::move(*database) : nullptr;
  }

  static int Count(Database& database) {
    int count = -1;
    Status status = database.Read([&](Transaction& transaction) {
      transaction.session() << "SELECT COUNT(*) FROM things", soci::into(count);
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return count;
  }

  const std::vector<Migration> things_ = {
      {"things", 1, {"CREATE TABLE things (name TEXT PRIMARY KEY)"}}};
  TemporaryFolder temporary_;
  const std::filesystem::path folder_ = temporary_.path() / "with a space";
  FakeClock clock_{TimePoint(std::chrono::seconds(1000))};
};

Status InsertThing(Transaction& transaction, const std::string& name) {
  transaction.session() << "INSERT INTO things (name) VALUES (:name)", soci::use(name);
  return Status();
}

TEST_F(DatabaseTest, CommitsOnOk) {
  auto database = MustOpen(things_);
  ASSERT_TRUE(database->Write([](Transaction& t) { return InsertThing(t, "a"); }).ok());
  EXPECT_EQ(Count(*database), 1);
}

TEST_F(DatabaseTest, SaysWhetherItCouldBeWritten) {
  auto database = MustOpen(things_);
  std::vector<StatusCode> written;
  database->SetWriteObserver([&](const Status& status) { written.push_back(status.code()); });
  EXPECT_TRUE(database->Write([](Transaction& t) { return InsertThing(t, "a"); }).ok());
  EXPECT_FALSE(database->Write([](Transaction& t) { return InsertThing(t, "a"); }).ok());
  EXPECT_FALSE(database->Write([](Transaction&) { return InvalidArgument("no"); }).ok());
  EXPECT_EQ(written, (std::vector<StatusCode>{StatusCode::kOk, StatusCode::kAlreadyExists}));
}

TEST_F(DatabaseTest, AnOlderFileIsCopiedBeforeItsSchemaChanges) {
  {
    auto database = MustOpen(things_);
    ASSERT_TRUE(database->Write([](Transaction& t) { return InsertThing(t, "a"); }).ok());
  }
  const auto copies = [&] {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (entry.path().string().find("attune.db.v") != std::string::npos) {
        found.push_back(entry.path());
      }
    }
    return found;
  };
  EXPECT_TRUE(copies().empty());
  std::vector<Migration> more = things_;
  more.push_back({"things", 2, {"DROP TABLE things"}});
  MustOpen(more);
  ASSERT_EQ(copies().size(), 1u);
  EXPECT_FALSE(Database::Open(folder_ / "attune.db", things_, &clock_).ok());
  std::filesystem::rename(copies()[0], folder_ / "attune.db");
  for (const char* journal : {"attune.db-wal", "attune.db-shm"}) {
    std::filesystem::remove(folder_ / journal);
  }
  EXPECT_EQ(Count(*MustOpen(things_)), 1) << "the older program goes on with the copy";
}

TEST_F(DatabaseTest, RollsBackOnErrorAndException) {
  auto database = MustOpen(things_);
  Status failed = database->Write([](Transaction& t) {
    (void)InsertThing(t, "a");
    return InvalidArgument("no");
  });
  EXPECT_EQ(failed.code(), StatusCode::kInvalidArgument);
  Status thrown = database->Write([](Transaction& t) {
    (void)InsertThing(t, "a");
    return InsertThing(t, "a");
  });
  EXPECT_EQ(thrown.code(), StatusCode::kAlreadyExists);
  EXPECT_EQ(Count(*database), 0);
}

TEST_F(DatabaseTest, EventsKeepTheirBytesAndOrder) {
  auto database = MustOpen(things_);
  std::vector<int64_t> observed;
  database->AddObserver([&](const std::vector<Event>& events) {
    for (const Event& event : events) observed.push_back(event.sequence);
  });
  const std::string bytes("\0\xff x", 4);
  ASSERT_TRUE(database
                  ->Write([&](Transaction& t) {
                    t.AppendEvent("job", "job-1", "submitted", "hello", bytes);
                    t.AppendEvent("job", "job-2", "submitted", "other", "");
                    t.AppendEvent("job", "job-1", "placed", "on a",
                                  [](int64_t sequence) { return std::to_string(sequence); });
                    return Status();
                  })
                  .ok());
  EXPECT_EQ(observed, (std::vector<int64_t>{1, 2, 3}));
  ASSERT_TRUE(database
                  ->Read([&](Transaction& t) {
                    auto events = ReadEvents(t, "job", "job-1", 0, 10);
                    EXPECT_EQ(events.size(), 2u);
                    EXPECT_EQ(events[0].snapshot, bytes);
                    EXPECT_EQ(events[1].snapshot, "3");
                    EXPECT_EQ(ReadEvents(t, "job", "job-1", 1, 10).size(), 1u);
                    return Status();
                  })
                  .ok());
}

TEST_F(DatabaseTest, PruneKeepsTheNewest) {
  auto database = MustOpen(things_);
  ASSERT_TRUE(database
                  ->Write([&](Transaction& t) {
                    for (int i = 0; i < 10; ++i)
                      t.AppendEvent("job", "j", "step", std::to_string(i), "");
                    t.AppendEvent("job", "j", "ended", "", "");
                    EXPECT_EQ(PruneEvents(t, "job", "j", "step", 3), 7u);
                    EXPECT_EQ(PruneEvents(t, "job", "j", "step", 3), 0u);
                    auto events = ReadEvents(t, "job", "j", 0, 100);
                    EXPECT_EQ(events.size(), 4u);
                    EXPECT_EQ(events[0].message, "7");
                    return Status();
                  })
                  .ok());
}

TEST_F(DatabaseTest, MigrationsRunOnceAndInOrder) {
  { auto database = MustOpen(things_); }
  auto more = things_;
  more.push_back({"things", 2, {"INSERT INTO things (name) VALUES ('migrated')"}});
  { auto database = MustOpen(more); }
  auto database = MustOpen(more);
  EXPECT_EQ(Count(*database), 1);
}

TEST_F(DatabaseTest, RefusesASchemaFromTheFuture) {
  auto more = things_;
  more.push_back({"things", 2, {"INSERT INTO things (name) VALUES ('migrated')"}});
  { auto database = MustOpen(more); }
  auto old = Database::Open(folder_ / "attune.db", things_, &clock_);
  ASSERT_FALSE(old.ok());
  EXPECT_EQ(old.status().code(), StatusCode::kFailedPrecondition);
}

TEST_F(DatabaseTest, DamagedFileIsDataLoss) {
  std::ofstream(folder_ / "attune.db") << std::string(8192, 'x');
  auto database = Database::Open(folder_ / "attune.db", things_, &clock_);
  ASSERT_FALSE(database.ok());
  EXPECT_EQ(database.status().code(), StatusCode::kDataLoss);
}

TEST_F(DatabaseTest, FullDiskIsResourceExhausted) {
  auto database = MustOpen(things_);
  Status status = database->Write([](Transaction& t) {
    t.session() << "PRAGMA max_page_count = 20";
    for (int i = 0; i < 1000; ++i) {
      ATTUNE_RETURN_IF_ERROR(InsertThing(t, std::string(4000, 'a') + std::to_string(i)));
    }
    return Status();
  });
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted) << status.ToString();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "attune.db.reserve")) << "given up";
  database->RestoreReserve();
  EXPECT_EQ(std::filesystem::file_size(folder_ / "attune.db.reserve"), 4u << 20);
  EXPECT_EQ(Count(*database), 0);
}

// A process that dies inside a transaction leaves the state of the last commit.
TEST_F(DatabaseTest, DeathInTheMiddleLeavesTheLastCommit) {
  pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto database = Database::Open(folder_ / "attune.db", things_, &clock_);
    if (!database.ok()) _exit(2);
    if (!(*database)->Write([](Transaction& t) { return InsertThing(t, "kept"); }).ok()) _exit(3);
    (void)(*database)->Write([](Transaction& t) {
      for (int i = 0; i < 1000; ++i) (void)InsertThing(t, "lost" + std::to_string(i));
      _exit(0);
      return Status();
    });
    _exit(4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_EQ(WEXITSTATUS(status), 0);
  auto database = MustOpen(things_);
  EXPECT_EQ(Count(*database), 1);
  EXPECT_TRUE(database->Write([](Transaction& t) { return InsertThing(t, "lost1"); }).ok());
}

}  // namespace
}  // namespace attune
