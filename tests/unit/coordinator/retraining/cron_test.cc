#include "coordinator/retraining/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune::retraining {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Seconds since 1970.
constexpr int64_t kBerlinSpring = 1774746000;  // 2026-03-29 02:00 CET, when it becomes 03:00 CEST
constexpr int64_t kBerlinAutumn = 1792890000;  // 2026-10-25 03:00 CEST, when it becomes 02:00 CET

std::vector<std::string> Firings(const std::string& expression, int64_t after, int count,
                                 const std::string& zone = "Europe/Berlin") {
  auto cron = Cron::Parse(expression, zone);
  EXPECT_TRUE(cron.ok()) << cron.status().message();
  if (!cron.ok()) return {};
  std::vector<std::string> out;
  TimePoint at{std::chrono::seconds(after)};
  for (int i = 0; i < count; ++i) {
    auto next = cron->Next(at);
    EXPECT_TRUE(next.ok() && *next > at) << next.status().message();
    if (!next.ok()) break;
    at = *next;
    out.push_back(cron->Local(at));
  }
  return out;
}

std::string Refusal(const std::string& expression, const std::string& zone = "UTC") {
  auto cron = Cron::Parse(expression, zone);
  EXPECT_FALSE(cron.ok()) << expression;
  if (cron.ok()) return "";
  EXPECT_EQ(cron.status().code(), StatusCode::kInvalidArgument);
  return cron.status().message();
}

TEST(CronTest, Weekly) {
  EXPECT_THAT(Firings("0 3 * * MON", kBerlinSpring - 7 * 86400, 2),
              ElementsAre("Mon 2026-03-23 03:00:00 CET", "Mon 2026-03-30 03:00:00 CEST"));
}

TEST(CronTest, SkippedTimeFiresOnceAsTheClocksJump) {
  EXPECT_THAT(Firings("30 2 * * *", kBerlinSpring - 86400, 3),
              ElementsAre("Sat 2026-03-28 02:30:00 CET", "Sun 2026-03-29 03:00:00 CEST",
                          "Mon 2026-03-30 02:30:00 CEST"));
  // Several that are skipped, and one at the jump itself, are one firing.
  EXPECT_THAT(Firings("10,20 2,3 * * *", kBerlinSpring - 3600, 2),
              ElementsAre("Sun 2026-03-29 03:00:00 CEST", "Sun 2026-03-29 03:10:00 CEST"));
  EXPECT_THAT(Firings("0 2,3 * * *", kBerlinSpring - 3600, 2),
              ElementsAre("Sun 2026-03-29 03:00:00 CEST", "Mon 2026-03-30 02:00:00 CEST"));
}

TEST(CronTest, RepeatedTimeFiresTheFirstTimeOnly) {
  EXPECT_THAT(Firings("30 2 * * *", kBerlinAutumn - 7200, 2),
              ElementsAre("Sun 2026-10-25 02:30:00 CEST", "Mon 2026-10-26 02:30:00 CET"));
  // Asked in the repeated hour: it has fired.
  EXPECT_THAT(Firings("30 2 * * *", kBerlinAutumn + 60, 1),
              ElementsAre("Mon 2026-10-26 02:30:00 CET"));
}

TEST(CronTest, StarsGoByTimeThatPasses) {
  EXPECT_THAT(Firings("30 * * * *", kBerlinAutumn - 3600, 3),
              ElementsAre("Sun 2026-10-25 02:30:00 CEST", "Sun 2026-10-25 02:30:00 CET",
                          "Sun 2026-10-25 03:30:00 CET"));
  EXPECT_THAT(Firings("30 * * * *", kBerlinSpring - 3600, 2),
              ElementsAre("Sun 2026-03-29 01:30:00 CET", "Sun 2026-03-29 03:30:00 CEST"));
}

TEST(CronTest, SecondsComeFirst) {
  EXPECT_THAT(Firings("15 0 3 * * *", kBerlinSpring + 86400, 1),
              ElementsAre("Mon 2026-03-30 03:00:15 CEST"));
}

TEST(CronTest, RareDatesAreFound) {
  EXPECT_THAT(Firings("0 0 29 2 *", 1774746000, 1, "UTC"),
              ElementsAre("Tue 2028-02-29 00:00:00 UTC"));
  EXPECT_THAT(Firings("0 0 * 2 MON#5", 1774746000, 1, "UTC"),
              ElementsAre("Mon 2044-02-29 00:00:00 UTC"));
  EXPECT_THAT(Firings("0 9 L * *", 1774746000, 1, "UTC"),
              ElementsAre("Tue 2026-03-31 09:00:00 UTC"));
}

TEST(CronTest, ErrorsNameTheField) {
  EXPECT_THAT(Refusal("0 25 * * *"), HasSubstr("the hour, '25', is not valid"));
  EXPECT_THAT(Refusal("0 3 * * MOM"), HasSubstr("the day of the week, 'MOM'"));
  EXPECT_THAT(Refusal("*/0 3 * * *"), HasSubstr("the minute, '*/0'"));
  EXPECT_THAT(Refusal("0 3,,4 * * *"), HasSubstr("an item of the list is empty"));
  EXPECT_THAT(Refusal("0 3 * *"), HasSubstr("it has 4 fields"));
  EXPECT_THAT(Refusal("0 0 3 * * * 2030"), HasSubstr("it has 7 fields"));
  EXPECT_THAT(Refusal(""), HasSubstr("it has 0 fields"));
  EXPECT_THAT(Refusal(std::string(300, '*')), HasSubstr("more than 256"));
  EXPECT_THAT(Refusal("0 3 * * *", "Berlin"), HasSubstr("'Berlin' is no IANA time zone"));
}

TEST(CronTest, ImpossibleDatesAreRefused) {
  EXPECT_THAT(Refusal("0 0 30 2 *"), HasSubstr("no date is like that"));
  EXPECT_THAT(Refusal("0 0 31 4,6,9,11 *"), HasSubstr("no date is like that"));
}

}  // namespace
}  // namespace attune::retraining
