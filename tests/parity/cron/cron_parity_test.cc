// When expressions fire, against croniter: see make_fixtures.py for the file and its rules.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "coordinator/retraining/cron.h"

namespace attune::retraining {
namespace {

TimePoint At(int64_t seconds) {
  return TimePoint(std::chrono::seconds(seconds));
}

// Returns the number of lines.
int CheckFile(const std::filesystem::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) {
    SCOPED_TRACE(line);
    std::istringstream fields(line);
    std::string expression, zone;
    std::getline(fields, expression, '\t');
    std::getline(fields, zone, '\t');
    int64_t start = 0, expected = 0;
    fields >> start;
    auto cron = Cron::Parse(expression, zone);
    EXPECT_TRUE(cron.ok()) << cron.status().message();
    if (!cron.ok()) continue;
    TimePoint at = At(start);
    while (fields >> expected) {
      auto next = cron->Next(at);
      EXPECT_TRUE(next.ok()) << next.status().message();
      if (!next.ok()) break;
      EXPECT_EQ(cron->Local(*next), cron->Local(At(expected)));
      EXPECT_EQ(*next, At(expected));
      at = *next;
    }
  }
  return lines;
}

TEST(CronParityTest, FiresWhenCroniterDoes) {
  EXPECT_EQ(CheckFile("tests/fixtures/cron/expected.tsv"), 1000);
}

TEST(CronParityTest, TenThousandExpressions) {
  const char* folder = std::getenv("ATTUNE_PARITY_DIR");
  if (folder == nullptr) GTEST_SKIP() << "tools/test --reference makes the file";
  EXPECT_EQ(CheckFile(std::filesystem::path(folder) / "cron.tsv"), 10000);
}

}  // namespace
}  // namespace attune::retraining
