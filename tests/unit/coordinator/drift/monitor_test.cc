#include "coordinator/drift/monitor.h"

#include <atomic>
#include <fstream>
#include <future>

#include "tests/unit/coordinator/drift/stream_fixture.h"

namespace attune::drift {
namespace {

namespace fs = std::filesystem;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

// A data set's validation rows and its training rows have an EMBED job each.
constexpr size_t kPartsOfOne = 2;

class MonitorTest : public StreamTest {
 protected:
  MonitorTest() { Apply(Spec()); }

  v1::Window OnlyWindow() {
    std::vector<v1::Window> windows = Windows();
    EXPECT_THAT(windows, SizeIs(1));
    return windows.empty() ? v1::Window() : windows[0];
  }
};

TEST_F(MonitorTest, AFullWindowBecomesADataSetVersionAndIsMeasured) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  v1::Window window = OnlyWindow();
  EXPECT_EQ(window.state(), "measured") << window.reason();
  EXPECT_EQ(window.dataset(), "live@1");
  EXPECT_EQ(window.examples(), 10u);
  EXPECT_EQ(window.labelled(), 10u);
  EXPECT_EQ(window.profile(), "m@1");
  EXPECT_FALSE(window.drifted());
  EXPECT_THAT(Texts("live@1"), ElementsAre("old 0", "old 1", "old 2", "old 3", "old 4", "old 5",
                                           "old 6", "old 7", "old 8", "old 9"));
  EXPECT_EQ(Stream().state(), "stable");
  EXPECT_EQ(Stream().profile(), "m@1");
  EXPECT_THAT(LiveFiles(), IsEmpty());  // its rows are the data set's now
  EXPECT_THAT(runner_.JobsOf("docs@1"), SizeIs(kPartsOfOne));
  EXPECT_TRUE(runner_.removed.contains(window.job_id()));
  EXPECT_THAT(window_states_, ElementsAre("measured"));
  monitor_->Tick();
  EXPECT_THAT(runner_.jobs, SizeIs(1 + kPartsOfOne));  // nothing twice
}

// What was taken when it was observed is measured, also where an import would ask for another name.
TEST_F(MonitorTest, RowsWhoseAnswerHasAnotherNameCountAsUnlabelled) {
  std::string rows;
  for (int i = 0; i < 6; ++i) {
    rows += R"({"prompt": "ask )" + std::to_string(i) + R"(", "response": "so"})" + "\n";
  }
  Result<v1::ObserveResponse> observed = Observe(rows + Rows("old", 0, 4));
  ASSERT_TRUE(observed.ok()) << observed.status().ToString();
  EXPECT_EQ(observed->accepted(), 10u);
  EXPECT_EQ(observed->labelled(), 4u);
  monitor_->Tick();
  const v1::Window window = OnlyWindow();
  EXPECT_EQ(window.state(), "measured") << window.reason();
  EXPECT_EQ(window.examples(), 10u);
  EXPECT_EQ(window.labelled(), 4u);
  EXPECT_THAT(Texts("live@1"), SizeIs(10));
}

TEST_F(MonitorTest, ASmallWindowClosesByTimeOnceItHasEnough) {
  v1::StreamSpec spec = Spec();
  spec.mutable_window()->set_examples(1000);
  Apply(spec);
  ASSERT_TRUE(Observe(Rows("old", 0, 9)).ok());
  clock_.Advance(std::chrono::hours(2));
  monitor_->Tick();
  EXPECT_THAT(Windows(), IsEmpty());
  ASSERT_TRUE(Observe(Rows("old", 9, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().examples(), 10u);
}

constexpr std::chrono::hours kYear{365 * 24};

TEST_F(MonitorTest, AWindowThatWasOpenedBeforeTheClockWasSetBackClosesInItsTime) {
  v1::StreamSpec spec = Spec();
  spec.mutable_window()->set_examples(1000);
  Apply(spec);
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  clock_.Set(-kYear);
  monitor_->Tick();
  EXPECT_THAT(Windows(), IsEmpty());
  clock_.Advance(std::chrono::hours(1));
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "measured");
}

TEST_F(MonitorTest, AJobOfBeforeTheClockWasSetBackIsGivenUpAfterADay) {
  runner_.ends = v1::Job::QUEUED;
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  clock_.Set(-kYear);
  monitor_->Tick();
  clock_.Advance(std::chrono::hours(25));
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "failed");
}

TEST_F(MonitorTest, WindowsOfAClockThatRanAheadCountForAWeekOnly) {
  v1::StreamSpec spec = Spec();
  spec.mutable_window()->set_seconds(7 * 86400);
  Apply(spec);
  const auto looks_of_next = [&](int from) {
    EXPECT_TRUE(Observe(Rows("old", from, from + 10)).ok());
    monitor_->Tick();
    return Windows().back().detectors(0).statistic();  // that the fake detector was given
  };
  clock_.Set(kYear);
  for (int i = 0; i < 4; ++i) looks_of_next(i * 10);
  clock_.Set(-kYear);
  monitor_->Tick();
  EXPECT_EQ(looks_of_next(40), 5);  // as of now
  clock_.Advance(std::chrono::hours(8 * 24));
  EXPECT_EQ(looks_of_next(50), 1);
}

TEST_F(MonitorTest, DriftThatPersistsIsAnAlarmUntilItEnds) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  ASSERT_TRUE(Observe(Rows("new", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().state(), "drifting");
  EXPECT_FALSE(Stream().has_alarm_since());
  ASSERT_TRUE(Observe(Rows("new", 10, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().state(), "alarm");
  EXPECT_TRUE(Stream().has_alarm_since());
  EXPECT_TRUE(Windows()[2].alarm());
  EXPECT_THAT(Stream().reason(), HasSubstr("2 windows in a row"));
  ASSERT_TRUE(Observe(Rows("new", 20, 30)).ok());
  monitor_->Tick();
  std::vector<std::string> types = EventTypes();
  EXPECT_EQ(std::count(types.begin(), types.end(), "drift_alarm"), 1);
  EXPECT_EQ(std::count(types.begin(), types.end(), "drift_window"), 4);
  ASSERT_TRUE(Observe(Rows("old", 10, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().state(), "stable");
  EXPECT_FALSE(Stream().has_alarm_since());
}

class CrashTest : public MonitorTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(CrashTest, TheNextStartGoesOnFromTheStep) {
  ASSERT_TRUE(Observe(Rows("new", 0, 10)).ok());
  FailOnce(GetParam());
  ASSERT_NO_FATAL_FAILURE(TickThroughCrash());
  v1::Window window = OnlyWindow();
  EXPECT_EQ(window.state(), "measured") << window.reason();
  EXPECT_TRUE(window.drifted());
  EXPECT_THAT(Texts("live"), SizeIs(10));
  EXPECT_EQ(catalog_->Get("live")->version(), 1u);  // one version, one job of each
  EXPECT_THAT(runner_.jobs, SizeIs(1 + kPartsOfOne));
  EXPECT_EQ(Stream().windows(), 1u);
  EXPECT_THAT(LiveFiles(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(AtEachStep, CrashTest,
                         ::testing::Values("imported", "closed", "submitted", "profile_submitted",
                                           "profile_built", "measured", "saved"));

TEST_F(MonitorTest, AWindowWaitsForItsJobAcrossARestart) {
  runner_.ends = v1::Job::QUEUED;
  ASSERT_TRUE(Observe(Rows("old", 0, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Windows()[0].state(), "embedding");
  EXPECT_EQ(Windows()[1].state(), "waiting");
  EXPECT_EQ(Windows()[1].dataset(), "live@2");  // whatever is measured
  Restart();
  for (auto& [id, job] : runner_.jobs) job.set_state(v1::Job::SUCCEEDED);
  runner_.ends = v1::Job::SUCCEEDED;
  monitor_->Tick();
  EXPECT_EQ(Windows()[0].state(), "measured");
  EXPECT_EQ(Windows()[1].state(), "measured");
}

TEST_F(MonitorTest, AJobThatFailsFailsItsWindowAlone) {
  runner_.fail_datasets = {"live@1"};
  ASSERT_TRUE(Observe(Rows("old", 0, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Windows()[0].state(), "failed");
  EXPECT_THAT(Windows()[0].reason(), HasSubstr("out of memory"));
  EXPECT_EQ(Windows()[1].state(), "measured");
  EXPECT_THAT(window_states_, ElementsAre("failed", "measured"));
}

TEST_F(MonitorTest, AProfileThatFailsIsTriedAgainForTheNextWindow) {
  runner_.fail_datasets = {"docs@1"};
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "failed");
  EXPECT_THAT(OnlyWindow().reason(), HasSubstr("no profile"));
  runner_.fail_datasets.clear();
  ASSERT_TRUE(Observe(Rows("old", 10, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Windows()[1].state(), "measured") << Windows()[1].reason();
  EXPECT_THAT(runner_.JobsOf("docs@1"), SizeIs(2 * kPartsOfOne));
}

TEST_F(MonitorTest, ASubmitThatIsRefusedFailsTheWindowOneThatIsPutOffDoesNot) {
  runner_.refuse = Unavailable("too busy");
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "embedding");
  EXPECT_THAT(Stream().problem(), HasSubstr("too busy"));
  runner_.refuse = InvalidArgument("no such model");
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "failed");
  EXPECT_THAT(OnlyWindow().reason(), HasSubstr("no such model"));
  monitor_->Tick();
  EXPECT_EQ(Stream().problem(), "");
}

TEST_F(MonitorTest, AJobThatNobodyRunsIsGivenUpAfterADay) {
  runner_.ends = v1::Job::QUEUED;
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  clock_.Advance(std::chrono::hours(25));
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "failed");
  EXPECT_THAT(OnlyWindow().reason(), HasSubstr("24 hours"));
  EXPECT_EQ(runner_.jobs.at(OnlyWindow().job_id()).state(), v1::Job::CANCELLED);
}

TEST_F(MonitorTest, APromotionMakesANewProfileAndBeginsAnew) {
  ASSERT_TRUE(Observe(Rows("new", 0, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().state(), "alarm");
  Import("newer", Rows("new", 0, 200));
  AddModel(2, "newer@1");
  ASSERT_TRUE(Observe(Rows("new", 20, 30)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().state(), "stable");  // the new model knows it
  EXPECT_EQ(Stream().profile(), "m@2");
  EXPECT_THAT(runner_.JobsOf("newer@1"), SizeIs(kPartsOfOne));
  // Drift against another reference does not count as the second in a row.
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().state(), "drifting");
}

// Replay is a share of an epoch, whatever the size of the data set it comes from.
TEST_F(MonitorTest, TheReferenceIsMixedAsItsModelWasTrained) {
  Import("newer", Rows("new", 0, 2000));
  AddModel(2, "newer@1");
  v1::Lineage* lineage = models_["m@champion"].mutable_lineage();
  lineage->add_datasets("docs@1");
  lineage->set_spec(R"({"datasets": [{"name": "newer", "weight": 1}, {"share": 0.25}]})");
  ASSERT_TRUE(Observe(Rows("new", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "measured") << OnlyWindow().reason();
  std::map<std::string, uint32_t> measured;
  for (const auto& [id, job] : runner_.jobs) {
    measured[job.task().embed().dataset()] += job.task().embed().max_examples();
  }
  EXPECT_EQ(measured["newer@1"], 600u);  // docs has 200, which is a quarter of 800
  EXPECT_EQ(measured["docs@1"], 200u);
  EXPECT_THAT(OnlyWindow().not_compared(), Contains(HasSubstr("embedding: the window has 10")));
}

TEST_F(MonitorTest, WithoutAReferenceWindowsAreDataSetsAllTheSame) {
  models_.clear();
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "unmeasured");
  EXPECT_EQ(OnlyWindow().dataset(), "live@1");
  EXPECT_EQ(Stream().state(), "no reference");
  EXPECT_THAT(Stream().reason(), HasSubstr("there is no model 'm@champion'"));
  AddModel(1, "");
  ASSERT_TRUE(Observe(Rows("old", 10, 20)).ok());
  monitor_->Tick();
  EXPECT_THAT(Stream().reason(), HasSubstr("name one with `reference`"));
  v1::StreamSpec spec = Spec();
  spec.set_reference("docs");
  Apply(spec);
  EXPECT_EQ(Stream().state(), "new");
  ASSERT_TRUE(Observe(Rows("old", 20, 30)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().state(), "stable");
}

TEST_F(MonitorTest, CloseWindowMakesTheDataSetAtOnceAndOnce) {
  ASSERT_TRUE(Observe(Rows("old", 0, 4)).ok());
  Result<v1::Stream> closed = monitor_->CloseWindow("request", "live");
  ASSERT_TRUE(closed.ok()) << closed.status().ToString();
  EXPECT_EQ(closed->windows(), 1u);
  EXPECT_EQ(OnlyWindow().dataset(), "live@1");
  ASSERT_TRUE(Observe(Rows("old", 4, 5)).ok());
  Result<v1::Stream> again = monitor_->CloseWindow("request", "live");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->SerializeAsString(), closed->SerializeAsString());
  EXPECT_EQ(Stream().waiting(), 1u);
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "unmeasured");
  EXPECT_THAT(OnlyWindow().reason(), HasSubstr("4 distinct examples, fewer than"));
  ASSERT_TRUE(monitor_->CloseWindow("", "live").ok());
  EXPECT_EQ(monitor_->CloseWindow("", "live")->windows(), 2u);  // an empty one stays open
}

v1::SetWindowExcludedRequest Exclusion(uint64_t number, bool excluded,
                                       const std::string& request_id = "") {
  v1::SetWindowExcludedRequest request;
  request.set_request_id(request_id);
  request.set_stream("live");
  request.set_number(number);
  request.set_excluded(excluded);
  request.set_reason(excluded ? "poisoned\nrows" : "");
  return request;
}

TEST_F(MonitorTest, AWindowIsExcludedOnceAndIncludedAgain) {
  ASSERT_TRUE(Observe(Rows("old", 0, 20)).ok());
  monitor_->Tick();
  auto excluded = monitor_->SetWindowExcluded(Exclusion(1, true, "r1"), "user:ann");
  ASSERT_TRUE(excluded.ok()) << excluded.status().ToString();
  EXPECT_TRUE(excluded->excluded());
  EXPECT_EQ(excluded->excluded_reason(), "poisoned rows (by user:ann)");
  EXPECT_EQ(excluded->state(), "measured");
  Restart();
  EXPECT_TRUE(Windows()[0].excluded());
  EXPECT_EQ(Windows()[0].excluded_reason(), "poisoned rows (by user:ann)");
  EXPECT_FALSE(Windows()[1].excluded());
  ASSERT_TRUE(monitor_->SetWindowExcluded(Exclusion(1, false), "user:bob").ok());
  EXPECT_FALSE(Windows()[0].excluded());
  EXPECT_EQ(Windows()[0].excluded_reason(), "");
  // The first request again changes nothing and has its first answer.
  auto again = monitor_->SetWindowExcluded(Exclusion(1, true, "r1"), "user:ann");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->SerializeAsString(), excluded->SerializeAsString());
  EXPECT_FALSE(Windows()[0].excluded());
  std::vector<std::string> types = EventTypes();
  EXPECT_EQ(std::count(types.begin(), types.end(), "window_excluded"), 1);
  EXPECT_EQ(std::count(types.begin(), types.end(), "window_included"), 1);
}

TEST_F(MonitorTest, WhoMeasuresAWindowDoesNotIncludeIt) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  // As a person may, between what the step has read and what it saves.
  on_fault_ = [this](std::string_view step) {
    if (step == "measured") {
      EXPECT_TRUE(monitor_->SetWindowExcluded(Exclusion(1, true), "user:ann").ok());
    }
  };
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "measured");
  EXPECT_TRUE(OnlyWindow().excluded());
  EXPECT_EQ(OnlyWindow().excluded_reason(), "poisoned rows (by user:ann)");
}

TEST_F(MonitorTest, OnlyAClosedWindowCanBeExcluded) {
  ASSERT_TRUE(Observe(Rows("old", 0, 3)).ok());
  Status open = monitor_->SetWindowExcluded(Exclusion(1, true), "user:ann").status();
  EXPECT_EQ(open.code(), StatusCode::kFailedPrecondition);
  EXPECT_THAT(open.message(), HasSubstr("attune drift close live"));
  Status absent = monitor_->SetWindowExcluded(Exclusion(2, true), "user:ann").status();
  EXPECT_EQ(absent.code(), StatusCode::kNotFound);
  EXPECT_THAT(absent.message(), HasSubstr("has no window 2: it has 0 closed windows"));
}

TEST_F(MonitorTest, AStreamThatIsMadeAnewBeginsAtOneAndHearsNoOldAnswers) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  v1::DeleteStreamRequest request;
  request.set_request_id("delete");
  request.set_name("live");
  ASSERT_TRUE(monitor_->Delete(request).ok());
  EXPECT_TRUE(monitor_->Delete(request).ok());
  EXPECT_EQ(monitor_->Get("live").status().code(), StatusCode::kNotFound);
  Apply(Spec());
  ASSERT_TRUE(Observe(Rows("other", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().number(), 1u);
  EXPECT_EQ(OnlyWindow().dataset(), "live@2");
  EXPECT_THAT(Texts("live@2"), Contains("other 0"));
  EXPECT_EQ(OnlyWindow().state(), "measured");
}

TEST_F(MonitorTest, RowsThatAreLostFailTheirWindowAlone) {
  ASSERT_TRUE(Observe(Rows("old", 0, 20)).ok());
  fs::resize_file(LiveFiles()[0], 10);
  monitor_->Tick();
  EXPECT_EQ(Windows()[0].state(), "failed");
  EXPECT_EQ(Windows()[0].dataset(), "");
  EXPECT_EQ(Windows()[0].labelled(), 0u);  // there is nothing to train on
  EXPECT_THAT(Windows()[0].reason(), HasSubstr("are lost"));
  EXPECT_EQ(Windows()[1].state(), "measured");
}

TEST_F(MonitorTest, RowsOfAWindowThatFailedStayAfterAStart) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  fs::resize_file(LiveFiles()[0], 10);
  monitor_->Tick();
  ASSERT_EQ(OnlyWindow().state(), "failed");
  Restart();
  ASSERT_THAT(LiveFiles(), SizeIs(1));
  EXPECT_EQ(fs::file_size(LiveFiles()[0]), 10u);
}

TEST_F(MonitorTest, AFolderThatIsAwayIsWaitedFor) {
  const fs::path live = folder_.path() / "live", away = folder_.path() / "away";
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  fs::rename(live, away);
  Restart();
  monitor_->Tick();
  EXPECT_THAT(Windows(), IsEmpty());
  EXPECT_THAT(Stream().problem(), HasSubstr("mount or restore"));
  EXPECT_EQ(Observe(Rows("old", 10, 12)).status().code(), StatusCode::kUnavailable);
  fs::remove_all(live);
  fs::rename(away, live);
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "measured") << OnlyWindow().reason();
  EXPECT_EQ(Stream().problem(), "");
}

TEST_F(MonitorTest, AStorageErrorWhileMeasuringIsTriedAgainLater) {
  runner_.unreadable["live@1"] = Internal("read live: Input/output error");
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "embedding") << OnlyWindow().reason();
  EXPECT_THAT(Stream().problem(), HasSubstr("Input/output error"));
  monitor_->Tick();
  EXPECT_EQ(runner_.unread, 1);  // not each second
  EXPECT_THAT(Stream().problem(), HasSubstr("Input/output error"));
  runner_.unreadable.clear();
  clock_.Advance(kMeasureAgain);
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "measured") << OnlyWindow().reason();
  EXPECT_EQ(Stream().problem(), "");
}

TEST_F(MonitorTest, AProfileThatCannotBeBuiltIsGivenUpAfterADay) {
  runner_.unreadable["docs@1"] = Unavailable("the disk is away");
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  monitor_->Tick();
  EXPECT_EQ(runner_.unread, 1);
  EXPECT_EQ(OnlyWindow().state(), "embedding");
  clock_.Advance(std::chrono::hours(25));
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "failed");
  EXPECT_THAT(OnlyWindow().reason(), HasSubstr("24 hours; the last problem: the disk is away"));
}

TEST_F(MonitorTest, AProfileThatIsDamagedIsMadeAnew) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  for (const auto& entry : fs::directory_iterator(folder_.path() / "cache/profiles")) {
    std::ofstream(entry.path()) << "damaged";
  }
  ASSERT_TRUE(Observe(Rows("old", 10, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Windows()[1].state(), "measured") << Windows()[1].reason();
  EXPECT_THAT(runner_.JobsOf("docs@1"), SizeIs(2 * kPartsOfOne));
}

TEST_F(MonitorTest, OfProfilesThoseUsedLastAreKeptAndThoseThatAWindowWaitsFor) {
  runner_.ends = v1::Job::QUEUED;
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  std::vector<std::string> forgotten;
  for (const char* key : {"a", "b", "c"}) {
    clock_.Advance(std::chrono::seconds(1));
    Status status = database_->Write([&](Transaction& transaction) {
      ProfileRecord profile;
      profile.key = key;
      SaveProfile(transaction, profile);
      forgotten = PruneProfiles(transaction, 2);
      return Status();
    });
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  EXPECT_THAT(forgotten, ElementsAre("a"));
  for (auto& [id, job] : runner_.jobs) job.set_state(v1::Job::SUCCEEDED);
  monitor_->Tick();
  EXPECT_EQ(OnlyWindow().state(), "measured");
}

TEST_F(MonitorTest, TheProfileThatAStreamUsedLastIsKept) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  v1::StreamSpec other = Spec();
  other.set_name("other");  // no window of it uses a profile
  Apply(other);
  std::vector<std::string> forgotten;
  Status status = database_->Write([&](Transaction& transaction) {
    ProfileRecord profile;
    profile.key = "unused";
    SaveProfile(transaction, profile);
    forgotten = PruneProfiles(transaction, 0);
    return Status();
  });
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_THAT(forgotten, ElementsAre("unused"));
}

TEST_F(MonitorTest, AProfileThatWasForgottenIsMadeAnewByJobsOfItsOwn) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  Status status = database_->Write([&](Transaction& transaction) {
    transaction.session() << "DELETE FROM profiles";
    return Status();
  });
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_TRUE(Observe(Rows("old", 10, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Windows()[1].state(), "measured") << Windows()[1].reason();
  EXPECT_THAT(runner_.JobsOf("docs@1"), SizeIs(2 * kPartsOfOne));
}

TEST_F(MonitorTest, AStreamWhoseRecordIsDamagedStopsNoOtherAndCanBeDeleted) {
  v1::StreamSpec other = Spec();
  other.set_name("other");
  Apply(other);
  ASSERT_TRUE(Observe(Rows("old", 0, 4)).ok());
  ASSERT_TRUE(Observe(Rows("old", 0, 10), "", "other").ok());
  Status damaged = database_->Write([&](Transaction& transaction) {
    transaction.session() << "UPDATE streams SET record = 'damaged' WHERE name = 'live'";
    return Status();
  });
  ASSERT_TRUE(damaged.ok()) << damaged.ToString();
  Restart();
  EXPECT_THAT(LiveFiles(), SizeIs(2));  // its rows stay, as the record may be restored
  monitor_->Tick();
  EXPECT_EQ(Windows("other")[0].state(), "measured");
  Result<v1::ListStreamsResponse> list = monitor_->List({});
  ASSERT_TRUE(list.ok()) << list.status().ToString();
  ASSERT_EQ(list->streams_size(), 2);
  EXPECT_EQ(list->streams(0).spec().name(), "live");
  EXPECT_THAT(list->streams(0).problem(), HasSubstr("cannot be read"));
  EXPECT_THAT(monitor_->AllProblems(), ElementsAre(Pair("live", HasSubstr("cannot be read"))));
  Result<v1::Stream> shown = monitor_->Get("live");
  EXPECT_EQ(shown.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(shown.status().message(), HasSubstr("attune drift delete live"));
  v1::DeleteStreamRequest request;
  request.set_name("live");
  Status deleted = monitor_->Delete(request);
  EXPECT_TRUE(deleted.ok()) << deleted.ToString();
  EXPECT_THAT(LiveFiles(), IsEmpty());
  EXPECT_EQ(monitor_->Get("live").status().code(), StatusCode::kNotFound);
  monitor_->Tick();
  EXPECT_THAT(monitor_->AllProblems(), IsEmpty());
}

// A window's record is damaged while it is in a phase; nothing is lost, and none waits.
class DamagedWindowTest : public MonitorTest {
 protected:
  // Damages the only window in the phase.
  void Damage(Phase phase) {
    int p = static_cast<int>(phase);
    long long windows = 0;
    Status damaged = database_->Write([&](Transaction& transaction) {
      transaction.session() << "UPDATE stream_windows SET record = 'damaged' WHERE phase = :p",
          soci::use(p);
      transaction.session() << "SELECT COUNT(*) FROM stream_windows WHERE phase = :p", soci::use(p),
          soci::into(windows);
      return Status();
    });
    ASSERT_TRUE(damaged.ok()) << damaged.ToString();
    ASSERT_EQ(windows, 1);
  }
};

class DamagedPhaseTest : public DamagedWindowTest, public ::testing::WithParamInterface<Phase> {};

TEST_P(DamagedPhaseTest, IsMadeAnewAndMeasured) {
  const Phase phase = GetParam();
  ASSERT_TRUE(Observe(Rows("old", 0, 9)).ok());
  if (phase != Phase::kOpen) {
    if (phase == Phase::kFull) FailOnce("imported");
    if (phase == Phase::kEmbedding) runner_.ends = v1::Job::QUEUED;
    ASSERT_TRUE(Observe(Rows("old", 9, 10)).ok());
    monitor_->Tick();
  }
  Damage(phase);
  runner_.ends = v1::Job::SUCCEEDED;
  for (auto& [id, job] : runner_.jobs) job.set_state(v1::Job::SUCCEEDED);
  if (phase == Phase::kOpen) ASSERT_TRUE(Observe(Rows("old", 9, 10)).ok());
  ASSERT_TRUE(Observe(Rows("old", 10, 20)).ok());
  for (int i = 0; i < 3; ++i) monitor_->Tick();
  EXPECT_EQ(Stream().problem(), "");
  const std::vector<v1::Window> windows = Windows();
  ASSERT_THAT(windows, SizeIs(2));
  for (const v1::Window& window : windows) {
    EXPECT_EQ(window.state(), "measured") << window.reason();
    EXPECT_EQ(window.dataset(), "live@" + std::to_string(window.number()));
    EXPECT_EQ(window.opened().seconds(), 1'700'000'000);
  }
  EXPECT_THAT(Texts("live@1"), SizeIs(10));
  const std::vector<std::string> events = EventTypes();
  EXPECT_EQ(std::count(events.begin(), events.end(), "window_made_anew"),
            phase == Phase::kOpen ? 0 : 1);
}
INSTANTIATE_TEST_SUITE_P(All, DamagedPhaseTest,
                         ::testing::Values(Phase::kOpen, Phase::kFull, Phase::kEmbedding));

TEST_F(DamagedWindowTest, OneThatIsDoneIsShownAsFailedAndTheNextGoOn) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Tick();
  Damage(Phase::kDone);
  ASSERT_TRUE(Observe(Rows("old", 10, 20)).ok());
  monitor_->Tick();
  EXPECT_EQ(Stream().problem(), "");
  const std::vector<v1::Window> windows = Windows();
  ASSERT_THAT(windows, SizeIs(2));
  EXPECT_EQ(windows[0].number(), 1u);
  EXPECT_EQ(windows[0].state(), "failed");
  EXPECT_THAT(windows[0].reason(), HasSubstr("cannot be read"));
  EXPECT_EQ(windows[1].state(), "measured");
}

TEST_F(MonitorTest, AStreamThatIsClosedKeepsNoOtherWaiting) {
  v1::StreamSpec other = Spec();
  other.set_name("other");
  Apply(other);
  ASSERT_TRUE(Observe(Rows("old", 0, 5)).ok());
  ASSERT_TRUE(Observe(Rows("old", 0, 5), "", "other").ok());
  std::future<Result<v1::Stream>> closed;  // outlives the step, which may be what it waits for
  std::atomic<bool> first{true};
  on_fault_ = [&](std::string_view step) {
    if (step != "imported" || !first.exchange(false)) return;
    closed = std::async(std::launch::async, [&] { return monitor_->CloseWindow("b", "other"); });
    ASSERT_EQ(closed.wait_for(std::chrono::seconds(60)), std::future_status::ready);
    monitor_->Tick();  // leaves "live" to who closes it
    EXPECT_THAT(Windows("live"), IsEmpty());
  };
  ASSERT_TRUE(monitor_->CloseWindow("a", "live").ok());
  ASSERT_TRUE(closed.valid());
  EXPECT_TRUE(closed.get().ok());
  EXPECT_EQ(Windows("other")[0].dataset(), "other@1");
  EXPECT_EQ(Windows("live")[0].dataset(), "live@1");
}

TEST_F(MonitorTest, ALiveFileThatCannotBeReadDoesNotRefuseTheStart) {
  ASSERT_TRUE(Observe(Rows("old", 0, 4)).ok());
  const std::string path = LiveFiles()[0];
  fs::remove(path);
  fs::create_symlink(path, path);  // a loop: even its size cannot be read
  Restart();
  monitor_->Tick();
  EXPECT_FALSE(Observe(Rows("old", 4, 5)).ok());
  fs::remove(path);
}

TEST_F(MonitorTest, ApplyChecksFillsInAndRefusesAnothersDataSet) {
  v1::ApplyStreamRequest request;
  request.mutable_spec()->set_name("docs");
  request.mutable_spec()->set_model("m@champion");
  Result<v1::Stream> taken = monitor_->Apply(request);
  EXPECT_EQ(taken.status().code(), StatusCode::kAlreadyExists);
  request.mutable_spec()->set_name("other");
  request.mutable_spec()->mutable_window()->set_examples(3);
  Result<v1::Stream> small = monitor_->Apply(request);
  EXPECT_EQ(small.status().field(), "spec.window.examples");
  request.mutable_spec()->clear_window();
  Result<v1::Stream> made = monitor_->Apply(request);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(made->spec().window().examples(), 500u);
  EXPECT_EQ(made->spec().alarm().persistence(), 2u);
  EXPECT_EQ(made->state(), "new");

  v1::ListStreamsRequest list;
  list.set_page_size(1);
  Result<v1::ListStreamsResponse> page = monitor_->List(list);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->streams(0).spec().name(), "live");
  list.set_page_token(page->next_page_token());
  page = monitor_->List(list);
  EXPECT_EQ(page->streams(0).spec().name(), "other");
  EXPECT_EQ(page->next_page_token(), "");
}

TEST_F(MonitorTest, ApplySaysWhatIsNotThereYet) {
  v1::ApplyStreamRequest request;
  *request.mutable_spec() = Spec();
  request.mutable_spec()->add_folders(folder_.path().string());
  request.mutable_spec()->add_folders("s3://bucket/rows");
  EXPECT_THAT(monitor_->Apply(request)->missing(), IsEmpty());
  request.mutable_spec()->set_model("other@champion");
  request.mutable_spec()->set_reference("absent");
  request.mutable_spec()->add_folders("/absent");
  EXPECT_THAT(monitor_->Apply(request)->missing(),
              ElementsAre(HasSubstr("there is no model 'other@champion'"), HasSubstr("absent")));
  EXPECT_THAT(Stream().missing(), IsEmpty());  // it is not stored
}

TEST_F(MonitorTest, AFolderThatIsNotThereIsNamedByTheFirstLookAndNotTouchedBefore) {
  int opened = 0;
  open_folder_ = [&](const std::string& address) {
    ++opened;
    return objects::OpenSource(address);
  };
  Restart();
  v1::ApplyStreamRequest request;
  *request.mutable_spec() = Spec();
  request.mutable_spec()->add_folders("/absent");
  EXPECT_THAT(monitor_->Apply(request)->missing(), IsEmpty());
  EXPECT_EQ(opened, 0);
  ASSERT_TRUE(monitor_->ReadFolders().ok());
  monitor_->Tick();
  EXPECT_THAT(Stream().problem(), HasSubstr("there is no folder /absent"));
}

TEST_F(MonitorTest, TheThreadStartsAndEnds) {
  ASSERT_TRUE(Observe(Rows("old", 0, 10)).ok());
  monitor_->Start();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Windows().empty() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_THAT(Windows(), SizeIs(1));
  monitor_->Shutdown();
  monitor_->Shutdown();
}

}  // namespace
}  // namespace attune::drift
