#include "worker/engine/checkpoint/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;

CheckpointTensors Tensors(double value, int64_t size = 10) {
  return {.weights_file = "model.safetensors",
          .weights = {{"a", at::full({size}, value)}, {"b", at::full({2, 3}, value + 1)}},
          .optimizer = {{"exp_avg.a", at::full({size}, value + 2)}}};
}

CheckpointState State(int step) {
  return {.step = step,
          .seed = 7,
          .plan_digest = "digest",
          .plan_format = 2,
          .generation = 4,
          .config = "{\"lr\": 1}",
          .loss = 1.25 + 1e-13,
          .first_validation_loss = 2.5};
}

std::vector<std::string> Names(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

void FlipByte(const fs::path& file, std::streamoff at) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(at);
  const char byte = static_cast<char>(stream.get() ^ 1);
  stream.seekp(at);
  stream.put(byte);
}

TEST(Checkpoint, GivesBackWhatWasWritten) {
  TemporaryFolder folder;
  const auto path = WriteCheckpoint(folder.path() / "checkpoints", State(20), Tensors(3), 2);
  ASSERT_TRUE(path.ok()) << path.status().ToString();
  EXPECT_EQ(path->filename(), "step-00000020");
  const auto state = VerifyCheckpoint(*path);
  ASSERT_TRUE(state.ok()) << state.status().ToString();
  EXPECT_EQ(state->step, 20);
  EXPECT_EQ(state->seed, 7u);
  EXPECT_EQ(state->plan_digest, "digest");
  EXPECT_EQ(state->plan_format, 2);
  EXPECT_EQ(state->generation, 4u);
  EXPECT_EQ(state->config, "{\"lr\": 1}");
  EXPECT_EQ(state->loss, 1.25 + 1e-13);
  EXPECT_EQ(state->first_validation_loss, 2.5);
  EXPECT_FALSE(state->last_validation_loss.has_value());
  const CheckpointTensors loaded = Tensors(0);
  ASSERT_TRUE(LoadCheckpoint(*path, loaded).ok());
  const CheckpointTensors expected = Tensors(3);
  for (size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(at::equal(loaded.weights[i].second, expected.weights[i].second));
  EXPECT_TRUE(at::equal(loaded.optimizer[0].second, expected.optimizer[0].second));
}

TEST(Checkpoint, KeepsTheNewestAndRemovesLeftovers) {
  TemporaryFolder folder;
  fs::create_directory(folder.path() / ".step-00000001.tmp");
  for (const int step : {1, 2, 3, 3}) {
    ASSERT_TRUE(WriteCheckpoint(folder.path(), State(step), Tensors(step), 2).ok());
  }
  EXPECT_THAT(Names(folder.path()),
              ::testing::UnorderedElementsAre("step-00000002", "step-00000003"));
}

TEST(Checkpoint, ALaterOneThatIsDamagedCrowdsNoneOut) {
  TemporaryFolder folder;
  for (const int step : {40, 10, 20}) {
    ASSERT_TRUE(WriteCheckpoint(folder.path(), State(step), Tensors(step), 1).ok());
  }
  EXPECT_THAT(Names(folder.path()),
              ::testing::UnorderedElementsAre("step-00000020", "step-00000040"));
}

// Behind a partition an attempt that was given up may live on beside its successor.
TEST(Checkpoint, AnEarlierAttemptCanNeitherWriteNorRemove) {
  TemporaryFolder run;
  const fs::path folder = run.path() / "checkpoints";
  const auto first = Fence::Take(run.path(), 1);
  ASSERT_TRUE(first.ok()) << first.status().ToString();
  ASSERT_TRUE(WriteCheckpoint(folder, State(10), Tensors(1), 1, *first).ok());
  const auto second = Fence::Take(run.path(), 2);
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  fs::create_directory(folder / ".step-00000020.tmp.2");  // the successor's, half written
  const Status late = WriteCheckpoint(folder, State(30), Tensors(3), 1, *first).status();
  EXPECT_EQ(late.code(), StatusCode::kCancelled);
  EXPECT_THAT(late.message(), ::testing::HasSubstr("attempt 2 has taken over"));
  EXPECT_THAT(Names(folder),
              ::testing::UnorderedElementsAre("step-00000010", ".step-00000020.tmp.2"));
  EXPECT_TRUE(WriteCheckpoint(folder, State(20), Tensors(2), 1, *second).ok());
  EXPECT_THAT(Names(folder), ::testing::ElementsAre("step-00000020"));
  EXPECT_EQ(Fence::Take(run.path(), 1).status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(Fence::Take(run.path(), 2).ok()) << "its trainers may start their task again";
}

TEST(Checkpoint, ADamagedOneIsPassedOverWithTheReason) {
  TemporaryFolder folder;
  for (const int step : {10, 20, 30, 40}) {
    ASSERT_TRUE(WriteCheckpoint(folder.path(), State(step), Tensors(step), 4).ok());
  }
  FlipByte(folder.path() / "step-00000040" / "model.safetensors", 200);
  fs::resize_file(folder.path() / "step-00000030" / "optimizer.safetensors", 50);
  fs::remove(folder.path() / "step-00000020" / "state.json");
  std::vector<std::string> reasons;
  const auto found = FindCheckpoint(
      folder.path(), [&](const Status& status) { reasons.push_back(status.message()); });
  ASSERT_TRUE(found.ok() && found->has_value()) << found.status().ToString();
  EXPECT_EQ((*found)->state.step, 10);
  EXPECT_THAT(reasons, ::testing::ElementsAre(::testing::HasSubstr("does not match its checksum"),
                                              ::testing::HasSubstr("has not the size it had"),
                                              ::testing::HasSubstr("state.json")));
}

TEST(Checkpoint, WhenAllAreDamagedThereIsNone) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteCheckpoint(folder.path(), State(10), Tensors(1), 4).ok());
  std::ofstream(folder.path() / "step-00000010" / "state.json") << "{\"format\": 1";
  int damaged = 0;
  const auto found = FindCheckpoint(folder.path(), [&](const Status& status) {
    EXPECT_EQ(status.code(), StatusCode::kDataLoss);
    ++damaged;
  });
  ASSERT_TRUE(found.ok()) << found.status().ToString();
  EXPECT_FALSE(found->has_value());
  EXPECT_EQ(damaged, 1);
}

TEST(Checkpoint, OneThatCannotBeReadNowIsNotCalledDamaged) {
  TemporaryFolder folder;
  const auto path = WriteCheckpoint(folder.path(), State(10), Tensors(1), 4);
  ASSERT_TRUE(path.ok());
  fs::remove(*path / "state.json");
  fs::create_symlink("/proc/self/mem", *path / "state.json");  // its first byte is unreadable: EIO
  EXPECT_EQ(VerifyCheckpoint(*path).status().code(), StatusCode::kInternal);

  // Nor is it passed over: a run would do again what is only out of reach.
  ASSERT_TRUE(WriteCheckpoint(folder.path(), State(5), Tensors(1), 4).ok());
  const auto found = FindCheckpoint(folder.path(), [](const Status&) { ADD_FAILURE(); });
  EXPECT_EQ(found.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(found.status().message(), ::testing::HasSubstr("checkpoints cannot be read"));
}

TEST(Checkpoint, AFolderThatCannotBeListedIsNotAnEmptyOne) {
  TemporaryFolder folder;
  folder.Write("checkpoints", "no folder");
  const fs::path path = folder.path() / "checkpoints";
  EXPECT_EQ(HasCheckpoint(path).status().code(), StatusCode::kNotFound);
  EXPECT_FALSE(FindCheckpoint(path, [](const Status&) {}).ok());
  EXPECT_FALSE(*HasCheckpoint(folder.path() / "absent"));
}

TEST(Checkpoint, TensorsOfAnotherShapeAreRefusedAndNothingIsCopied) {
  TemporaryFolder folder;
  const auto path = WriteCheckpoint(folder.path(), State(10), Tensors(1), 4);
  ASSERT_TRUE(path.ok());
  CheckpointTensors other = Tensors(5);
  other.weights[1].second = at::zeros({3, 2});
  const Status status = LoadCheckpoint(*path, other);
  EXPECT_EQ(status.code(), StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), ::testing::HasSubstr("'b' is F32 [2, 3], not F32 [3, 2]"));
  EXPECT_TRUE(at::equal(other.weights[0].second, at::full({10}, 5.0)));
}

TEST(Checkpoint, AFullDiskLeavesTheOldOneAndNoHalfOfTheNew) {
  TemporaryFolder folder;
  if (geteuid() != 0 || mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "needs root and mount to make a small disk";
  }
  const auto first = WriteCheckpoint(folder.path(), State(10), Tensors(1), 2);
  const auto second = WriteCheckpoint(folder.path(), State(20), Tensors(2, 1 << 20), 2);
  EXPECT_TRUE(first.ok()) << first.status().ToString();
  EXPECT_EQ(second.status().code(), StatusCode::kResourceExhausted) << second.status().ToString();
  EXPECT_THAT(Names(folder.path()), ::testing::ElementsAre("step-00000010"));
  EXPECT_TRUE(VerifyCheckpoint(folder.path() / "step-00000010").ok());
  umount(folder.path().c_str());
}

}  // namespace
}  // namespace attune::engine
