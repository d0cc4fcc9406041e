#include <gtest/gtest.h>

#include "tests/unit/coordinator/jobs/fake_cluster.h"

namespace attune::jobs {
namespace {

class ControllerExportTest : public testing::Test {
 protected:
  // An export that a trainer on the worker "a" has, and that does not get on.
  std::string StartExport() {
    cluster_.AddWorker("a", 1);
    cluster_.steps_flow = false;
    v1::SubmitJobRequest request;
    request.set_kind(v1::Job::EXPORT);
    request.mutable_task()->mutable_export_()->set_model("tiny");
    request.mutable_task()->mutable_export_()->set_folder("/mnt/usb/tiny");
    const auto job = cluster_.controller().Submit(request);
    EXPECT_TRUE(job.ok()) << job.status().ToString();
    const std::string id = job.ok() ? job->id() : "";
    EXPECT_TRUE(cluster_.RunUntil([&] {
      auto* trainer = cluster_.Trainer(id + "-g1-r0");
      return trainer != nullptr && trainer->task.has_value();
    }));
    return id;
  }
  FakeCluster cluster_;
};

TEST_F(ControllerExportTest, AFullDiskOfItsFolderEndsIt) {
  const std::string id = StartExport();
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::NO_SPACE,
                    "write /mnt/usb/tiny: No space left on device");
  ASSERT_TRUE(cluster_.RunUntilState(id, v1::Job::FAILED, 5)) << cluster_.Job(id).DebugString();
  EXPECT_EQ(cluster_.Job(id).reason(),
            "the disk of /mnt/usb/tiny on a is full: write /mnt/usb/tiny: No space left on device; "
            "free space there, or export to another folder");
  EXPECT_EQ(cluster_.free_bytes_asked_of, "") << "the storage has nothing to do with it";
}

TEST_F(ControllerExportTest, AnotherFailureIsTriedAgain) {
  const std::string id = StartExport();
  cluster_.FailTask(id + "-g1-r0", v1::TaskFailed::INTERNAL, "trouble");
  ASSERT_TRUE(cluster_.RunUntil([&] { return cluster_.Job(id).restarts() == 1; }, 5));
  cluster_.steps_flow = true;
  EXPECT_TRUE(cluster_.RunUntilState(id, v1::Job::SUCCEEDED));
}

}  // namespace
}  // namespace attune::jobs
