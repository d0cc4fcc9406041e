#include "coordinator/drift/observations.h"

#include "common/base/files.h"
#include "coordinator/drift/due.h"
#include "tests/unit/coordinator/drift/stream_fixture.h"

namespace attune::drift {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ObservationsTest : public StreamTest {
 protected:
  ObservationsTest() { Apply(Spec()); }

  WindowRecord Window(uint64_t number) {
    std::optional<WindowRecord> window;
    Status status = database_->Read([&](Transaction& transaction) {
      window = FindWindow(transaction, "live", number);
      return Status();
    });
    EXPECT_TRUE(status.ok() && window.has_value()) << number;
    return window.value_or(WindowRecord());
  }
  // The rows that are committed.
  std::string Committed(uint64_t number) {
    StreamRecord stream;
    std::string rows;
    EXPECT_TRUE(database_
                    ->Read([&](Transaction& transaction) -> Status {
                      ATTUNE_ASSIGN_OR_RETURN(stream, FindStream(transaction, "live"));
                      return Status();
                    })
                    .ok());
    Status status = observations_->ReadRows(stream, Window(number), [&](std::string_view bytes) {
      rows += bytes;
      return Status();
    });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return rows;
  }
};

TEST_F(ObservationsTest, RowsAreCutIntoWindowsInTheirOrder) {
  Result<v1::ObserveResponse> response = Observe(Rows("old", 0, 25));
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  EXPECT_EQ(response->accepted(), 25u);
  EXPECT_EQ(response->labelled(), 25u);
  EXPECT_EQ(response->waiting(), 5u);
  EXPECT_EQ(Committed(1), Rows("old", 0, 10));
  EXPECT_EQ(Committed(2), Rows("old", 10, 20));
  EXPECT_EQ(Committed(3), Rows("old", 20, 25));
  EXPECT_EQ(Window(1).phase, Phase::kFull);
  EXPECT_EQ(Window(3).phase, Phase::kOpen);
  ASSERT_TRUE(Observe(Rows("old", 25, 30)).ok());
  EXPECT_EQ(Committed(3), Rows("old", 20, 30));
  EXPECT_EQ(Window(3).phase, Phase::kFull);
  EXPECT_EQ(Stream().observed(), 30u);
  EXPECT_EQ(Stream().windows(), 3u);
  EXPECT_EQ(Stream().waiting(), 0u);
}

TEST_F(ObservationsTest, TheSameRequestAgainAddsNothing) {
  Result<v1::ObserveResponse> first = Observe(Rows("old", 0, 4), "request");
  ASSERT_TRUE(first.ok());
  Restart();
  Result<v1::ObserveResponse> again = Observe(Rows("old", 0, 4), "request");
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->SerializeAsString(), first->SerializeAsString());
  EXPECT_EQ(Stream().observed(), 4u);
  EXPECT_EQ(Committed(1), Rows("old", 0, 4));
}

TEST_F(ObservationsTest, TheSameRequestTwiceAtTheSameTimeAddsOnce) {
  auto one = observations_->Start("request", "live");
  auto other = observations_->Start("request", "live");
  ASSERT_TRUE(one.ok() && other.ok());
  ASSERT_TRUE((*one)->Append("a", Rows("old", 0, 4)).ok());
  ASSERT_TRUE((*other)->Append("a", Rows("old", 0, 4)).ok());
  EXPECT_TRUE((*one)->Finish().ok());
  EXPECT_TRUE((*other)->Finish().ok());
  EXPECT_EQ(Stream().observed(), 4u);
  ASSERT_TRUE(Observe(Rows("old", 4, 6)).ok());
  EXPECT_EQ(Committed(1), Rows("old", 0, 6));
}

TEST_F(ObservationsTest, ABatchThatIsNotFinishedLeavesNothing) {
  {
    auto batch = observations_->Start("", "live");
    ASSERT_TRUE(batch.ok());
    ASSERT_TRUE((*batch)->Append("a", Rows("old", 0, 4)).ok());
  }
  EXPECT_EQ(Stream().observed(), 0u);
  EXPECT_THAT(LiveFiles(), IsEmpty());
}

TEST_F(ObservationsTest, ACrashBeforeTheCommitLeavesNoHalfBatch) {
  ASSERT_TRUE(Observe(Rows("old", 0, 4)).ok());
  FailOnce("appended");
  EXPECT_FALSE(Observe(Rows("new", 0, 30), "request").ok());
  Restart();
  EXPECT_EQ(Stream().observed(), 4u);
  EXPECT_EQ(Stream().waiting(), 4u);
  ASSERT_THAT(LiveFiles(), SizeIs(1));  // what was not committed is cut off
  EXPECT_EQ(*ReadFile(LiveFiles()[0]), Rows("old", 0, 4));
  ASSERT_TRUE(Observe(Rows("new", 0, 30), "request").ok());
  EXPECT_EQ(Committed(1), Rows("old", 0, 4) + Rows("new", 0, 6));
  EXPECT_EQ(Committed(2), Rows("new", 6, 16));
}

TEST_F(ObservationsTest, AnAppendThatFailedIsOverwrittenWithoutARestart) {
  FailOnce("appended");
  EXPECT_FALSE(Observe(Rows("lost", 0, 7)).ok());
  ASSERT_TRUE(Observe(Rows("old", 0, 2)).ok());
  EXPECT_EQ(Committed(1), Rows("old", 0, 2));
}

TEST_F(ObservationsTest, AFileThatIsTooShortIsNotLengthenedAndNamed) {
  ASSERT_TRUE(Observe(Rows("old", 0, 4)).ok());
  const std::string path = LiveFiles()[0];
  std::filesystem::resize_file(path, 10);
  Result<v1::ObserveResponse> refused = Observe(Rows("old", 4, 6));
  EXPECT_EQ(refused.status().code(), StatusCode::kDataLoss);
  EXPECT_THAT(refused.status().message(), HasSubstr(path + " has 10 of "));
  EXPECT_EQ(std::filesystem::file_size(path), 10u);
  ASSERT_TRUE(monitor_->CloseWindow("", "live").ok());  // as the message says
  ASSERT_TRUE(Observe(Rows("old", 4, 6)).ok());
  EXPECT_EQ(Committed(2), Rows("old", 4, 6));
}

TEST_F(ObservationsTest, RowsOfAWindowThatIsClosedMeanwhileGoToTheNext) {
  ASSERT_TRUE(Observe(Rows("old", 0, 4)).ok());
  observation_options_.fault = nullptr;
  bool closed = false;
  ObservationOptions options;
  options.fault = [&](std::string_view) {
    if (!std::exchange(closed, true)) EXPECT_TRUE(monitor_->CloseWindow("", "live").ok());
    return Status();
  };
  ObservationStore store(database_.get(), folder_.path(), options);
  auto batch = store.Start("", "live");
  ASSERT_TRUE(batch.ok());
  ASSERT_TRUE((*batch)->Append("a", Rows("new", 0, 3)).ok());
  ASSERT_TRUE((*batch)->Finish().ok());
  EXPECT_THAT(Texts("live@1"), ElementsAre("old 0", "old 1", "old 2", "old 3"));
  EXPECT_EQ(Committed(2), Rows("new", 0, 3));
}

TEST_F(ObservationsTest, ABacklogThatIsFullRefusesAndSaysWhy) {
  observation_options_.backlog_bytes_max = 500;
  Restart();
  ASSERT_TRUE(Observe(Rows("old", 0, 20)).ok());
  Result<v1::ObserveResponse> refused = Observe(Rows("old", 20, 40));
  EXPECT_EQ(refused.status().code(), StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.status().message(), HasSubstr("no data set version yet"));
  monitor_->Tick();  // windows become data set versions
  EXPECT_TRUE(Observe(Rows("old", 20, 40)).ok());
  EXPECT_EQ(Observe(Rows("much", 0, 100)).status().code(), StatusCode::kResourceExhausted);
}

TEST_F(ObservationsTest, BadRowsAreReportedAndThoseWithoutAnAnswerTaken) {
  Result<v1::ObserveResponse> response = Observe(
      "{\"prompt\": \"a question\"}\nnot json\n\n{\"prompt\": \"q\", \"completion\": \"a\"}\n");
  ASSERT_TRUE(response.ok()) << response.status().ToString();
  EXPECT_EQ(response->accepted(), 2u);
  EXPECT_EQ(response->labelled(), 1u);
  EXPECT_EQ(response->rejected(), 1u);
  EXPECT_THAT(response->rejected_rows(0), HasSubstr("rows.jsonl:2: "));
  Result<v1::ObserveResponse> none = Observe("{}\n[]\n");
  EXPECT_EQ(none.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(none.status().message(), HasSubstr("none of the 2 rows can be used"));
  EXPECT_EQ(Stream().rejected(), 3u);  // of both calls
  EXPECT_THAT(Stream().rejected_last(), HasSubstr("2 rows: rows.jsonl:1: "));
  EXPECT_EQ(observations_->Start("", "absent").status().code(), StatusCode::kNotFound);
}

TEST_F(ObservationsTest, AStreamThatWasDeletedTakesNoRowsAndItsFilesGo) {
  ASSERT_TRUE(Observe(Rows("old", 0, 4)).ok());
  auto batch = observations_->Start("", "live");
  ASSERT_TRUE(batch.ok());
  ASSERT_TRUE((*batch)->Append("a", Rows("old", 4, 6)).ok());
  v1::DeleteStreamRequest request;
  request.set_name("live");
  ASSERT_TRUE(monitor_->Delete(request).ok());
  Apply(Spec());  // made anew under the same name
  EXPECT_EQ((*batch)->Finish().status().code(), StatusCode::kNotFound);
  EXPECT_THAT(LiveFiles(), IsEmpty());
  EXPECT_EQ(Stream().observed(), 0u);
}

TEST(DueReason, CountOrTimeWithEnoughExamples) {
  v1::WindowSpec spec;
  spec.set_examples(100);
  spec.set_seconds(60);
  spec.set_examples_min(10);
  const TimePoint start(std::chrono::seconds(1000));
  WindowRecord window;
  window.opened = start;
  auto due = [&](uint64_t rows, int seconds) {
    window.rows = rows;
    return !DueReason(window, spec, start + std::chrono::seconds(seconds)).empty();
  };
  EXPECT_TRUE(due(100, 0));
  EXPECT_FALSE(due(99, 59));
  EXPECT_TRUE(due(10, 60));
  EXPECT_FALSE(due(9, 1'000'000));
  EXPECT_FALSE(due(0, 1'000'000));
}

TEST(LooksPerWeek, TheMostOfTimeRuleAndWhatWasSeen) {
  v1::WindowSpec spec;
  spec.set_seconds(86400);
  EXPECT_DOUBLE_EQ(LooksPerWeek(spec, 0), 7);
  EXPECT_DOUBLE_EQ(LooksPerWeek(spec, 50), 50);
  spec.set_seconds(30 * 86400.0);
  EXPECT_DOUBLE_EQ(LooksPerWeek(spec, 0), 1);
}

}  // namespace
}  // namespace attune::drift
