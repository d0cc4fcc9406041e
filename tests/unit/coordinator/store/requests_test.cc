#include "coordinator/store/requests.h"

#include <gtest/gtest.h>

#include "tests/support/temporary_folder.h"

namespace attune {
namespace {

class RequestsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto database = Database::Open(folder_.path() / "attune.db", {}, &clock_);
    ASSERT_TRUE(database.ok()) << database.status().ToString();
    database_ = std::move(*database);
  }
  void Save(const std::string& id, const std::string& content, const std::string& answer) {
    ASSERT_TRUE(database_
                    ->Write([&](Transaction& t) {
                      SaveRequest(t, id, "Submit", content, answer);
                      return Status();
                    })
                    .ok());
  }
  void RunHours(int64_t hours) {
    for (int64_t i = 0; i < hours; ++i) {
      ASSERT_TRUE(database_
                      ->Write([](Transaction& t) {
                        ExpireRequests(t);
                        return Status();
                      })
                      .ok());
    }
  }
  Result<std::optional<std::string>> Find(const std::string& id, const std::string& content) {
    Result<std::optional<std::string>> found = std::optional<std::string>();
    Status status = database_->Read([&](Transaction& t) {
      found = FindRequest(t, id, "Submit", content);
      return Status();
    });
    if (!status.ok()) return status;
    return found;
  }

  TemporaryFolder folder_;
  FakeClock clock_{TimePoint(std::chrono::seconds(1000))};
  std::unique_ptr<Database> database_;
};

TEST_F(RequestsTest, SameContentGivesTheFirstAnswer) {
  Save("r1", "content", std::string("an\0swer", 7));
  auto found = Find("r1", "content");
  ASSERT_TRUE(found.ok());
  ASSERT_TRUE(found->has_value());
  EXPECT_EQ(**found, std::string("an\0swer", 7));
}

TEST_F(RequestsTest, OtherContentIsRefused) {
  Save("r1", "content", "answer");
  EXPECT_EQ(Find("r1", "other").status().code(), StatusCode::kAlreadyExists);
}

TEST_F(RequestsTest, UnknownAndEmptyIdsAreNew) {
  Save("", "content", "answer");
  EXPECT_FALSE(Find("r2", "content")->has_value());
  EXPECT_FALSE(Find("", "content")->has_value());
  EXPECT_EQ(Find(std::string(200, 'x'), "c").status().code(), StatusCode::kInvalidArgument);
}

TEST_F(RequestsTest, AnswersExpireByHoursThatTheCoordinatorRan) {
  RunHours(3);
  Save("r1", "content", "answer");
  RunHours(kRequestLifetime.count());
  EXPECT_TRUE(Find("r1", "content")->has_value());
  RunHours(1);
  EXPECT_FALSE(Find("r1", "content")->has_value());
}

TEST_F(RequestsTest, AClockThatJumpsForgetsNothing) {
  Save("r1", "content", "answer");
  clock_.Advance(10 * kRequestLifetime);
  RunHours(1);
  EXPECT_TRUE(Find("r1", "content")->has_value());
}

}  // namespace
}  // namespace attune
