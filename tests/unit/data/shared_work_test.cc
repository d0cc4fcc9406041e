// Shards are tokenized once, whoever prepares them and whatever happens to who does.

#include "worker/engine/data/shared_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <functional>
#include <thread>

#include "tests/unit/data/prepare_fixture.h"
#include "worker/engine/data/dataset_work.h"

namespace attune::engine {
namespace {

using std::chrono::milliseconds;
using testing::IsEmpty;
using testing::SizeIs;

// Progress goes up in each phase, to its end.
class RisingObserver : public CountingObserver {
 public:
  void OnProgress(const Progress& progress) override {
    if (last.contains(progress.phase)) EXPECT_GT(progress.done, last[progress.phase].done);
    CountingObserver::OnProgress(progress);
  }
};

class Thief : public Observer {
 public:
  void OnProgress(const Progress&) override { on_progress(); }
  std::function<void()> on_progress;
  int stolen = 0;
};

class SharedWorkTest : public PrepareTest {
 protected:
  // `count` training shards of one row each, and a validation shard.
  std::vector<Shard> MakeShards(int count) {
    std::vector<Shard> shards = {{"validation", {Text("validation")}}};
    for (int i = 0; i < count; ++i) shards.push_back({"train", {Text("row " + std::to_string(i))}});
    return shards;
  }

  // What says that a file is still the same.
  using Identity = std::pair<ino_t, int64_t>;
  std::map<std::string, Identity> Identities() const {
    std::map<std::string, Identity> identities;
    for (const fs::path& file : CacheFiles()) {
      struct stat info {};
      EXPECT_EQ(stat(file.c_str(), &info), 0);
      identities[file.filename()] = {info.st_ino, info.st_mtim.tv_nsec};
    }
    return identities;
  }

  // Works on a task's shards with the given ones said to be damaged.
  static Status Mend(const PrepareTask& task, const std::set<std::string>& damaged,
                     milliseconds silence_max = milliseconds(60'000)) {
    auto work = MakeWork(task);
    if (!work.ok()) return work.status();
    const TokenCache cache(task.token_cache, work->options);
    SharedWork shared(cache, InOrder(*work), damaged, {},
                      {.threads = 1, .silence_max = silence_max},
                      [](uint64_t, const DatasetShard*, const ShardCounts&) { return Status(); });
    return shared.Run();
  }

  static void Age(const fs::path& file, std::chrono::minutes age) {
    fs::last_write_time(file, fs::last_write_time(file) - age);
  }

  // Where the cache would lock the shard of a token file.
  static fs::path LockOf(fs::path tokens) { return tokens.replace_extension(".lock"); }

  static std::thread Start(const PrepareTask& task, Status* status, std::atomic<bool>* done) {
    return std::thread([&task, status, done] {
      Observer observer;
      *status = Prepare(task, observer).status();
      *done = true;
    });
  }
};

TEST_F(SharedWorkTest, VersionsShareTheTokensOfTheirShards) {
  std::vector<Shard> shards = MakeShards(3);
  PrepareTask task = Task({WriteShards("one", shards)});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const auto before = Identities();
  ASSERT_THAT(before, SizeIs(4));
  shards.push_back({"train", {Text("new"), Text("rows")}});
  task.datasets = {WriteShards("two", shards)};
  auto result = Prepare(task, observer_);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(result->examples, 5);
  EXPECT_EQ(observer_.last["tokenizing"].done, 6);
  auto after = Identities();
  EXPECT_THAT(after, SizeIs(5));
  for (const auto& [file, identity] : before) EXPECT_EQ(after[file], identity) << file;
  // In the order of the version.
  const auto data = OpenPrepared(task);
  ASSERT_TRUE(data.ok());
  for (size_t i = 0; i < 3; ++i) {
    const std::string text = TargetText(data->train->Example(i));
    EXPECT_THAT(text, testing::HasSubstr("w " + std::to_string(i)));
  }
}

TEST_F(SharedWorkTest, RanksShareTheWorkAndAllSeeAllOfIt) {
  const PrepareTask task = Task({WriteShards("data", MakeShards(24))});
  std::vector<Result<PrepareResult>> results(3, Internal("not run"));
  std::vector<RisingObserver> observers(3);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < 3; ++rank) {
    threads.emplace_back([&, rank] {
      PrepareTask mine = task;
      mine.rank = rank;
      mine.world_size = 3;
      results[rank] = Prepare(mine, observers[rank]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  double verified = 0;
  for (RisingObserver& observer : observers) {
    // One that comes late finds nothing left to do.
    if (observer.last.contains("tokenizing")) EXPECT_EQ(observer.last["tokenizing"].done, 25);
    EXPECT_EQ(observer.last["verifying"].total, 25);
    verified += observer.last["verifying"].own;
  }
  EXPECT_EQ(verified, 25);
  for (const auto& result : results) {
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_EQ(result->examples, 24);
    EXPECT_EQ(result->validation_examples, 1);
  }
  EXPECT_THAT(CacheFiles(), SizeIs(25));
}

TEST_F(SharedWorkTest, WhatAnotherMakesIsWaitedForUntilItIsThereOrTheOtherIsGone) {
  PrepareTask task = Task({WriteShards("data", MakeShards(4))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const std::vector<fs::path> files = CacheFiles();
  ASSERT_THAT(files, SizeIs(5));
  const std::string other_made = *ReadFile(files[1]);
  for (const fs::path& file : files) fs::remove(file);
  auto makes_it = std::make_unique<Result<FileLock>>(FileLock::Try(LockOf(files[1])));
  auto dies = std::make_unique<Result<FileLock>>(FileLock::Try(LockOf(files[3])));
  ASSERT_TRUE(makes_it->ok() && dies->ok());
  Status status;
  std::atomic<bool> done = false;
  std::thread thread = Start(task, &status, &done);
  while (!(fs::exists(files[0]) && fs::exists(files[2]) && fs::exists(files[4]))) {
    std::this_thread::yield();
  }
  EXPECT_FALSE(done);
  dies.reset();
  while (!fs::exists(files[3])) std::this_thread::yield();
  EXPECT_FALSE(done);
  EXPECT_FALSE(fs::exists(files[1]));
  ASSERT_TRUE(WriteFileAtomically(files[1], other_made).ok());
  makes_it.reset();
  thread.join();
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(CacheFiles(), files);
}

TEST_F(SharedWorkTest, WhoWaitsStopsWhenAsked) {
  PrepareTask task = Task({WriteShards("data", MakeShards(1))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const fs::path file = CacheFiles()[0];
  fs::remove(file);
  auto held = FileLock::Try(LockOf(file));
  ASSERT_TRUE(held.ok());
  observer_.stop = StopRequest::kStop;
  EXPECT_EQ(Prepare(task, observer_).status().code(), StatusCode::kCancelled);
}

TEST_F(SharedWorkTest, AShardWhoseMakerHangsIsMadeWithoutItsLock) {
  PrepareTask task = Task({WriteShards("data", MakeShards(2))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const std::vector<fs::path> files = CacheFiles();
  fs::remove(files[1]);
  auto hangs = FileLock::Try(LockOf(files[1]));
  ASSERT_TRUE(hangs.ok());
  const Status status = Mend(task, {}, milliseconds(50));
  EXPECT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(fs::exists(files[1]));
  EXPECT_TRUE(OpenPrepared(task).ok());
}

TEST_F(SharedWorkTest, ADamagedFileThatAnotherHasMadeAnewMeanwhileStays) {
  const PrepareTask task = Task({WriteShards("data", MakeShards(1))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const auto before = Identities();
  const fs::path damaged = CacheFiles()[0], whole = CacheFiles()[1];
  fs::resize_file(damaged, 50);
  ASSERT_TRUE(Mend(task, {damaged.stem(), whole.stem()}).ok());
  EXPECT_EQ(Identities()[whole.filename()], before.at(whole.filename()));
  EXPECT_TRUE(OpenPrepared(task).ok());
}

TEST_F(SharedWorkTest, ADamagedFileIsRemovedByNoOtherThanTheHolderOfItsLock) {
  const PrepareTask task = Task({WriteShards("data", MakeShards(1))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const fs::path file = CacheFiles()[0];
  fs::resize_file(file, 50);
  {
    const auto held = FileLock::Try(LockOf(file));
    ASSERT_TRUE(held.ok());
    observer_.stop = StopRequest::kStop;
    EXPECT_EQ(Prepare(task, observer_).status().code(), StatusCode::kCancelled);
    EXPECT_EQ(fs::file_size(file), 50u);
  }
  observer_.stop = StopRequest::kNone;
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_TRUE(OpenPrepared(task).ok());
}

// As NFS lists for a while what another host has removed. Here it is a link that leads nowhere.
TEST_F(SharedWorkTest, AShardThatIsListedButCannotBeOpenedIsMade) {
  const PrepareTask task = Task({WriteShards("data", MakeShards(1))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const fs::path file = CacheFiles()[0];
  fs::remove(file);
  fs::create_symlink("nowhere", file);
  auto work = MakeWork(task);
  ASSERT_TRUE(work.ok());
  const TokenCache cache(task.token_cache, work->options);
  SharedWork shared(cache, InOrder(*work), {}, {file.stem()}, {.threads = 1},
                    [&](uint64_t done, const DatasetShard*, const ShardCounts&) {
                      EXPECT_LE(done, 2u);
                      if (fs::is_symlink(file)) fs::remove(file);
                      return Status();
                    });
  const Status status = shared.Run();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(OpenPrepared(task).ok());
}

TEST_F(SharedWorkTest, WhatIsNeverThereWhenItIsOpenedIsSaidAsThat) {
  const PrepareTask task = Task({WriteShards("data", MakeShards(1))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const fs::path file = CacheFiles()[0];
  fs::remove(file);
  fs::create_symlink("nowhere", file);
  const Status status = Prepare(task, observer_).status();
  EXPECT_EQ(status.code(), StatusCode::kNotFound) << status.ToString();
  EXPECT_THAT(status.message(), testing::HasSubstr("not there when it is opened (1 of 2 files)"));
}

TEST_F(SharedWorkTest, EachFileIsReadWholeByOneRank) {
  PrepareTask task = Task({WriteShards("data", MakeShards(5))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const fs::path file = CacheFiles()[1];
  const std::string whole = *ReadFile(file);
  std::string flipped = whole;
  flipped[20] ^= 1;  // of an example: the index does not know
  ASSERT_TRUE(WriteFileAtomically(file, flipped).ok());
  task.world_size = 3;
  for (int rank = 0; rank < 3; ++rank) {
    task.rank = rank;
    CountingObserver observer;
    const auto result = Prepare(task, observer);
    ASSERT_TRUE(result.ok()) << result.status().ToString();
    EXPECT_EQ(observer.last["verifying"].own, 2) << rank;
    EXPECT_EQ(observer.last["verifying"].total, 6) << rank;
    EXPECT_EQ(result->cached, rank != 1) << rank;
    EXPECT_EQ(*ReadFile(file), rank == 0 ? flipped : whole) << rank;
  }
}

// As on two hosts whose locks do not reach each other.
TEST_F(SharedWorkTest, AShardThatIsMadeTwiceKeepsItsFirstFile) {
  const PrepareTask task = Task({WriteShards("data", MakeShards(0))});
  auto work = MakeWork(task);
  ASSERT_TRUE(work.ok());
  const TokenCache cache(task.token_cache, work->options);
  const DatasetShard& shard = *InOrder(*work)[0];
  std::map<std::string, Identity> first;
  const Status made = cache.Make(shard, 1, [&](const ShardCounts&) {
    const Status other = cache.Make(shard, 1, [](const ShardCounts&) { return Status(); });
    first = Identities();
    return other;
  });
  ASSERT_TRUE(made.ok()) << made.ToString();
  ASSERT_THAT(CacheFiles(), SizeIs(1));
  const std::string name = CacheFiles()[0].filename();
  EXPECT_EQ(Identities()[name].first, first.at(name).first);
}

TEST_F(SharedWorkTest, AShardThatIsMadeTwiceCountsOnce) {
  std::vector<Json> rows;
  for (int i = 0; i < 5000; ++i) rows.push_back(Text("text number " + std::to_string(i)));
  const PrepareTask task = Task({WriteDataset("data", rows)});
  auto work = MakeWork(task);
  ASSERT_TRUE(work.ok());
  const TokenCache cache(task.token_cache, work->options);
  int reports = 0;
  SharedWork shared(cache, InOrder(*work), {}, {}, {.threads = 1, .look_every = milliseconds(0)},
                    [&](uint64_t done, const DatasetShard* shard, const ShardCounts&) -> Status {
                      EXPECT_LE(done, rows.size());
                      if (++reports > 1) return Status();
                      return cache.Make(*shard, 1, [](const ShardCounts&) { return Status(); });
                    });
  const Status status = shared.Run();
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_GT(reports, 3);
}

TEST_F(SharedWorkTest, AnUnfinishedFileThatIsTakenAwayIsMadeAgain) {
  std::vector<Json> rows;
  for (int i = 0; i < 20000; ++i) rows.push_back(Text("text number " + std::to_string(i)));
  PrepareTask task = Task({WriteDataset("data", rows)});
  Thief thief;
  thief.on_progress = [&] {
    for (const fs::path& file : CacheFiles()) {
      if (file.string().find(".tmp") == std::string::npos || thief.stolen > 0) continue;
      fs::remove(file);
      ++thief.stolen;
    }
  };
  auto result = Prepare(task, thief);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(thief.stolen, 1);
  EXPECT_EQ(OpenPrepared(task)->train->size(), rows.size());
}

TEST_F(SharedWorkTest, WhatTheDeadHaveLeftIsRemoved) {
  PrepareTask task = Task({WriteShards("data", MakeShards(2))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const std::vector<fs::path> files = CacheFiles();
  const std::string other(32, 'a');
  const fs::path folder = files[0].parent_path();
  for (const std::string& name : {files[0].filename().string() + ".tmp.0123456789abcdef",
                                  LockOf(files[0]).filename().string(), other + ".lock",
                                  other + ".tokens.tmp.0123456789abcdef"}) {
    ASSERT_TRUE(WriteFileAtomically(folder / name, "half").ok());
    Age(folder / name, std::chrono::minutes(11));
  }
  const fs::path alive = folder / (std::string(32, 'b') + ".tokens.tmp.0123456789abcdef");
  ASSERT_TRUE(WriteFileAtomically(alive, "in the making").ok());
  Age(alive, std::chrono::minutes(11));
  auto lock =
      std::make_unique<Result<FileLock>>(FileLock::Try(folder / (std::string(32, 'b') + ".lock")));
  ASSERT_TRUE(lock->ok());
  fs::remove(files[0]);
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_TRUE(fs::exists(alive));
  lock.reset();
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_EQ(CacheFiles(), files);
}

// Whose lock may not be seen from here.
TEST_F(SharedWorkTest, WhatAnotherHostIsWritingStays) {
  PrepareTask task = Task({WriteShards("data", MakeShards(1))});
  ASSERT_TRUE(Prepare(task, observer_).ok());
  const fs::path made = CacheFiles()[0];
  const fs::path others[] = {
      made.string() + ".tmp.0123456789abcdef",
      made.parent_path() / (std::string(32, 'a') + ".tokens.tmp.0123456789abcdef")};
  for (const fs::path& file : others) ASSERT_TRUE(WriteFileAtomically(file, "half").ok());
  fs::remove(made);
  ASSERT_TRUE(Prepare(task, observer_).ok());
  for (const fs::path& file : others) EXPECT_TRUE(fs::exists(file)) << file;
}

TEST_F(SharedWorkTest, FoldersOfTheFormatBeforeAreKeptForADay) {
  PrepareTask task = Task({WriteShards("data", MakeShards(1))});
  for (const char* folder : {"cache/new", "cache/old", "cache/old.tmp-0123"}) {
    Write(fs::path(folder) / "prepared.json", "{}");
    Write(fs::path(folder) / "train.tokens", "ATTNTOKS");
  }
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(25);
  fs::last_write_time(folder_.path() / "cache/old", long_ago);
  fs::last_write_time(folder_.path() / "cache/old.tmp-0123", long_ago);
  ASSERT_TRUE(Prepare(task, observer_).ok());
  EXPECT_TRUE(fs::exists(folder_.path() / "cache/new/train.tokens"));
  EXPECT_FALSE(fs::exists(folder_.path() / "cache/old"));
  EXPECT_FALSE(fs::exists(folder_.path() / "cache/old.tmp-0123"));
}

}  // namespace
}  // namespace attune::engine
