#include "coordinator/retraining/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/unit/coordinator/retraining/fake_world.h"

namespace attune::retraining {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What is read at each tick and each scrape must not grow with what there ever was.
class RepositoryTest : public ::testing::Test {
 protected:
  // How SQLite runs what a function asks.
  std::string PlanOf(const std::function<void(Transaction&)>& ask) {
    std::string plan;
    Status read = world_.database->Read([&](Transaction& transaction) {
      soci::session& sql = transaction.session();
      std::ostringstream log;
      sql.set_log_stream(&log);
      ask(transaction);
      sql.set_log_stream(nullptr);
      std::istringstream queries(log.str());
      for (std::string query; std::getline(queries, query);) {
        int id = 0, parent = 0, unused = 0;
        std::string detail;
        soci::statement rows = (sql.prepare << "EXPLAIN QUERY PLAN " + query, soci::into(id),
                                soci::into(parent), soci::into(unused), soci::into(detail));
        rows.execute();
        while (rows.fetch()) plan += detail + "\n";
      }
      return Status();
    });
    EXPECT_TRUE(read.ok()) << read.message();
    return plan;
  }

  World world_;
};

TEST_F(RepositoryTest, ATickReadsOnlySchedulesThatAreDue) {
  const std::string due = PlanOf(
      [&](Transaction& transaction) { LoadDueSchedules(transaction, world_.clock.Now(), 1000); });
  EXPECT_THAT(due, HasSubstr("schedules_by_due"));
  EXPECT_THAT(due, HasSubstr("schedules_by_looked"));
  EXPECT_THAT(due, Not(HasSubstr("SCAN")));
  const std::string state =
      PlanOf([](Transaction& transaction) { LoadStateSchedules(transaction, "", 100); });
  EXPECT_THAT(state, HasSubstr("schedules_with_state"));
  EXPECT_THAT(state, Not(HasSubstr("TEMP B-TREE")));
}

TEST_F(RepositoryTest, ATickReadsOnlyUpdatesThatAreOpen) {
  EXPECT_THAT(PlanOf([](Transaction& transaction) { LoadOpenUpdates(transaction); }),
              HasSubstr("updates_open"));
  EXPECT_THAT(PlanOf([](Transaction& transaction) { LoadOpenUpdates(transaction, "weekly"); }),
              HasSubstr("updates_open"));
}

TEST_F(RepositoryTest, LimitsAreLookedUpByIndex) {
  EXPECT_THAT(
      PlanOf([&](Transaction& transaction) { LastEnd(transaction, "weekly", world_.clock.Now()); }),
      HasSubstr("updates_by_end"));
  EXPECT_THAT(PlanOf([&](Transaction& transaction) {
                GpuHours(transaction, "weekly", world_.clock.Now() - kWeek);
              }),
              HasSubstr("updates_by_end"));
  EXPECT_THAT(PlanOf([](Transaction& transaction) { CountUpdates(transaction); }),
              HasSubstr("COVERING INDEX"));
}

}  // namespace
}  // namespace attune::retraining
