// A full disk at a checkpoint: the job pauses with the reason, loses nothing, and goes on when
// there is room.

#include <gmock/gmock.h>
#include <sys/mount.h>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// A small memory file system over a folder.
class SmallDisk {
 public:
  explicit SmallDisk(fs::path folder) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    mounted_ = mount("attune", folder_.c_str(), "tmpfs", 0, "size=64k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  bool Enlarge() { return mount("attune", folder_.c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0; }

 private:
  const fs::path folder_;
  bool mounted_ = false;
};

TEST(DiskFull, PausesAndGoesOnWhenThereIsRoom) {
  Cluster cluster;
  ASSERT_NO_FATAL_FAILURE(cluster.Up(1));
  ASSERT_NO_FATAL_FAILURE(cluster.ImportTiny());
  // Without its worker the job waits, so that the disk can be put under its checkpoints.
  cluster.Kill(cluster.Pid("worker-1"));
  std::string job = cluster.Submit(Spec("full", 1, 40, "checkpoint: {every_steps: 10}\n"));
  SmallDisk disk(cluster.storage() / "runs" / job / "checkpoints");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a file system takes root";
  ASSERT_NO_FATAL_FAILURE(cluster.UpAgain());

  Json paused = cluster.WaitFor(job, [](const Json& shown) { return shown["state"] == "PAUSED"; });
  EXPECT_THAT(paused["reason"].get<std::string>(),
              ::testing::AnyOf(HasSubstr("space"), HasSubstr("full")));
  ASSERT_TRUE(disk.Enlarge());
  Json ended = cluster.WaitForEnd(job);
  EXPECT_EQ(ended["state"], "SUCCEEDED") << ended.dump(1);
  EXPECT_EQ(cluster.Losses(job).size(), 40u);

  std::string reference = cluster.Submit(Spec("reference", 1, 40));
  ASSERT_EQ(cluster.WaitForEnd(reference)["state"], "SUCCEEDED");
  EXPECT_EQ(cluster.Losses(job), cluster.Losses(reference));
}

}  // namespace
}  // namespace attune::cluster
