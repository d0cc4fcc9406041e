#include "common/base/file_lock.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>

#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

TEST(FileLock, IsHeldByOneAndLeavesNothing) {
  TemporaryFolder folder;
  const auto file = folder.path() / "a.lock";
  {
    auto held = FileLock::Try(file);
    ASSERT_TRUE(held.ok()) << held.status().ToString();
    EXPECT_EQ(FileLock::Try(file).status().code(), StatusCode::kAlreadyExists);
    FileLock moved = std::move(*held);
    EXPECT_EQ(FileLock::Try(file).status().code(), StatusCode::kAlreadyExists);
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_TRUE(FileLock::Try(file).ok());
  EXPECT_EQ(FileLock::Try(folder.path() / "none" / "a.lock").status().code(),
            StatusCode::kNotFound);
}

TEST(FileLock, IsFreedByTheDeathOfItsHolder) {
  TemporaryFolder folder;
  const auto file = folder.path() / "a.lock";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t other = fork();
  if (other == 0) {
    auto held = FileLock::Try(file);
    const char answer = held.ok() ? 'y' : 'n';
    (void)!write(ready[1], &answer, 1);
    pause();
    _exit(0);
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  ASSERT_EQ(answer, 'y');
  EXPECT_EQ(FileLock::Try(file).status().code(), StatusCode::kAlreadyExists);
  kill(other, SIGKILL);
  ASSERT_EQ(waitpid(other, nullptr, 0), other);
  EXPECT_TRUE(std::filesystem::exists(file));
  EXPECT_TRUE(FileLock::Try(file).ok());
  EXPECT_FALSE(std::filesystem::exists(file));
  close(ready[0]);
  close(ready[1]);
}

TEST(FileLock, TouchShowsASignOfLife) {
  TemporaryFolder folder;
  const auto file = folder.path() / "a.lock";
  auto held = FileLock::Try(file);
  ASSERT_TRUE(held.ok());
  const auto before = std::filesystem::last_write_time(file) - std::chrono::hours(1);
  std::filesystem::last_write_time(file, before);
  held->Touch();
  EXPECT_GT(std::filesystem::last_write_time(file), before);
}

}  // namespace
}  // namespace attune
