#include "coordinator/drift/folder_watch.h"

#include <fstream>
#include <future>
#include <thread>

#include "tests/support/hanging_source.h"
#include "tests/unit/coordinator/drift/stream_fixture.h"

namespace attune::drift {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// "slow" and "live" watch a folder each; that of "slow" hangs.
class FolderWatchTest : public StreamTest {
 protected:
  FolderWatchTest() {
    open_folder_ = [this](const std::string& address) {
      if (address == "/slow") {
        return Result<std::unique_ptr<objects::ObjectSource>>(
            std::make_unique<objects::HangingSource>(hang_));
      }
      return objects::OpenSource(address);
    };
    Restart();
    std::filesystem::create_directory(watched_);
    v1::StreamSpec spec = Spec();
    spec.add_folders(watched_.string());
    Apply(spec);
    spec.set_name("slow");
    spec.set_folders(0, "/slow");
    Apply(spec);
  }
  ~FolderWatchTest() override {
    hang_->Release();
    monitor_->Shutdown();
    while (objects::CallsUnderWay() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  template <typename Condition>
  static bool Eventually(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!condition() && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return condition();
  }

  const std::shared_ptr<objects::Hang> hang_ = std::make_shared<objects::Hang>();
  const std::filesystem::path watched_ = folder_.path() / "watched";
};

TEST_F(FolderWatchTest, AFolderThatHangsKeepsNoOtherStreamAndNoEndWaiting) {
  std::ofstream(watched_ / "a.jsonl") << Rows("old", 0, 10);
  monitor_->Start();
  ASSERT_TRUE(Eventually([&] { return hang_->calls() > 0; }));
  // Of "live" the folder is read, and windows of "slow" are closed and measured.
  ASSERT_TRUE(Observe(Rows("old", 0, 10), "", "slow").ok());
  EXPECT_TRUE(Eventually([&] {
    clock_.Advance(kSettle);
    return Windows("live").size() == 1 && Windows("slow").size() == 1;
  }));
  monitor_->Shutdown();
  EXPECT_EQ(objects::CallsUnderWay(), 1);
}

TEST_F(FolderWatchTest, AFolderThatHangsIsSaid) {
  folder_patience_ = std::chrono::milliseconds(10);
  Restart();
  ASSERT_TRUE(monitor_->ReadFolders().ok());
  monitor_->Tick();
  EXPECT_THAT(Stream("slow").problem(), HasSubstr("/slow has not answered"));
  EXPECT_EQ(Stream("live").problem(), "");
}

TEST_F(FolderWatchTest, AStreamThatIsDeletedIsWatchedNoMore) {
  FolderWatch watch(database_.get(), observations_.get(), &clock_, open_folder_,
                    std::chrono::milliseconds(10));
  StreamRecord slow;
  slow.stream.mutable_spec()->set_name("slow");
  slow.stream.mutable_spec()->add_folders("/slow");
  watch.Watch({slow});
  watch.ReadAll();
  EXPECT_FALSE(watch.Problem("slow").ok());
  slow.incarnation = "another";  // made anew: nothing is known of it
  watch.Watch({slow});
  EXPECT_TRUE(watch.Problem("slow").ok());
  watch.ReadAll();
  EXPECT_FALSE(watch.Problem("slow").ok());
  watch.Watch({});
  EXPECT_TRUE(watch.Problem("slow").ok());
  const int calls = hang_->calls();
  watch.ReadAll();
  EXPECT_EQ(hang_->calls(), calls);
}

}  // namespace
}  // namespace attune::drift
