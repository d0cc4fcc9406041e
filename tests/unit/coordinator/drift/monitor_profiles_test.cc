// Windows whose profile's record an older release wrote, or that is gone or damaged.

#include "coordinator/drift/monitor.h"
#include "tests/unit/coordinator/drift/stream_fixture.h"

namespace attune::drift {
namespace {

namespace fs = std::filesystem;
using ::testing::SizeIs;

class MonitorProfilesTest : public StreamTest {
 protected:
  MonitorProfilesTest() { Apply(Spec()); }

  // A window that waits for its profile.
  void BeginWindow() {
    runner_.ends = v1::Job::QUEUED;
    ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
    monitor_->Tick();
    ASSERT_EQ(Windows()[0].state(), "embedding");
  }

  void EndJobs() {
    runner_.ends = v1::Job::SUCCEEDED;
    for (auto& [id, job] : runner_.jobs) {
      if (job.state() == v1::Job::QUEUED) job.set_state(v1::Job::SUCCEEDED);
    }
  }

  void Write(const std::function<void(Transaction&)>& write) {
    Status status = database_->Write([&](Transaction& transaction) {
      write(transaction);
      return Status();
    });
    ASSERT_TRUE(status.ok()) << status.ToString();
  }

  void Execute(const std::string& sql) {
    Write([&](Transaction& transaction) { transaction.session() << sql; });
  }

  // The only profile as an older release would have left it: of another key, and without parts.
  void MakeOld(ProfileRecord::Phase phase) {
    Write([&](Transaction& transaction) {
      std::string key;
      transaction.session() << "SELECT key FROM profiles", soci::into(key);
      std::optional<ProfileRecord> profile = FindProfile(transaction, key);
      ASSERT_TRUE(profile);
      profile->of.clear_parts();
      profile->of.add_datasets("docs@1");
      profile->phase = phase;
      profile->key = "old";
      SaveProfile(transaction, *profile);
      transaction.session() << "DELETE FROM profiles WHERE key <> 'old'";
      transaction.session() << "UPDATE stream_windows SET profile_key = 'old'";
    });
  }

  void ExpectMeasuredByTodaysProfile() {
    EndJobs();
    monitor_->Tick();
    EXPECT_EQ(Stream().problem(), "");
    const std::vector<v1::Window> windows = Windows();
    ASSERT_THAT(windows, SizeIs(1));
    EXPECT_EQ(windows[0].state(), "measured") << windows[0].reason();
    EXPECT_THAT(runner_.JobsOf("live@1"), SizeIs(1));  // what was embedded is used
  }
};

TEST_F(MonitorProfilesTest, OneOfAnOlderFormatIsMadeAnew) {
  BeginWindow();
  MakeOld(ProfileRecord::Phase::kEmbedding);
  ExpectMeasuredByTodaysProfile();
}

TEST_F(MonitorProfilesTest, OneOfAnOlderFormatWhoseFileIsGoneIsMadeAnew) {
  BeginWindow();
  MakeOld(ProfileRecord::Phase::kReady);
  ASSERT_FALSE(fs::exists(folder_.path() / "cache/profiles/old"));
  ExpectMeasuredByTodaysProfile();
}

TEST_F(MonitorProfilesTest, OneOfAnOlderFormatThatIsReadyIsUsed) {
  BeginWindow();
  EndJobs();
  FailOnce("measured");
  monitor_->Tick();
  MakeOld(ProfileRecord::Phase::kReady);
  const fs::path profiles = folder_.path() / "cache/profiles";
  for (const auto& entry : fs::directory_iterator(profiles)) {
    fs::rename(entry.path(), profiles / "old");
  }
  const size_t jobs = runner_.jobs.size();
  clock_.Advance(kMeasureAgain);
  ExpectMeasuredByTodaysProfile();
  EXPECT_THAT(runner_.jobs, SizeIs(jobs));
}

TEST_F(MonitorProfilesTest, OneWhoseRecordIsDamagedIsMadeAnew) {
  BeginWindow();
  Execute("UPDATE profiles SET record = 'damaged'");
  ExpectMeasuredByTodaysProfile();
}

TEST_F(MonitorProfilesTest, OneWhoseRecordIsGoneIsMadeAnew) {
  BeginWindow();
  Execute("DELETE FROM profiles");
  ExpectMeasuredByTodaysProfile();
}

// Rows and reference are embedded by the same model.
TEST_F(MonitorProfilesTest, AfterAPromotionTheWindowIsEmbeddedAnewAsWell) {
  BeginWindow();
  const std::string before = Windows()[0].job_id();
  Execute("DELETE FROM profiles");
  AddModel(2, "docs@1");
  EndJobs();
  runner_.jobs.at(before).set_state(v1::Job::QUEUED);
  monitor_->Tick();
  const v1::Window window = Windows()[0];
  EXPECT_EQ(window.state(), "measured") << window.reason();
  EXPECT_EQ(window.profile(), "m@2");
  EXPECT_EQ(runner_.jobs.at(before).state(), v1::Job::CANCELLED);
  EXPECT_EQ(runner_.jobs.at(window.job_id()).task().embed().model(), "m@2");
}

TEST_F(MonitorProfilesTest, WithoutAReferenceAnyMoreItsJobIsCancelled) {
  BeginWindow();
  Execute("DELETE FROM profiles");
  models_.clear();
  monitor_->Tick();
  EXPECT_EQ(Windows()[0].state(), "unmeasured");
  EXPECT_EQ(runner_.jobs.at(Windows()[0].job_id()).state(), v1::Job::CANCELLED);
}

}  // namespace
}  // namespace attune::drift
