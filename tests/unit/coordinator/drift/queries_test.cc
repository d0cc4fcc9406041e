#include <soci/sqlite3/soci-sqlite3.h>

#include <set>

#include "tests/unit/coordinator/drift/stream_fixture.h"

namespace attune::drift {
namespace {

using namespace sqlite_api;  // sqlite3.h, as SOCI includes it

using ::testing::AnyOf;
using ::testing::HasSubstr;

sqlite3* ConnectionOf(Transaction& transaction) {
  return static_cast<soci::sqlite3_session_backend*>(transaction.session().get_backend())->conn_;
}

// Notes the statements that both connections of the database run.
class QueriesTest : public StreamTest {
 protected:
  void Trace() {
    const auto trace = [this](Transaction& transaction) {
      sqlite3_trace_v2(ConnectionOf(transaction), SQLITE_TRACE_STMT, &Note, &statements_);
      return Status();
    };
    ASSERT_TRUE(database_->Read(trace).ok());
    ASSERT_TRUE(database_->Write(trace).ok());
  }
  void EndTrace() {
    const auto end = [](Transaction& transaction) {
      sqlite3_trace_v2(ConnectionOf(transaction), 0, nullptr, nullptr);
      return Status();
    };
    ASSERT_TRUE(database_->Read(end).ok());
    ASSERT_TRUE(database_->Write(end).ok());
  }
  // How SQLite finds what a statement asks of a table, a line for each part.
  std::vector<std::string> PlanOf(const std::string& statement, const std::string& table) {
    std::vector<std::string> lines;
    Status read = database_->Read([&](Transaction& transaction) {
      sqlite3_stmt* plan = nullptr;
      const std::string explain = "EXPLAIN QUERY PLAN " + statement;
      EXPECT_EQ(sqlite3_prepare_v2(ConnectionOf(transaction), explain.c_str(), -1, &plan, nullptr),
                SQLITE_OK)
          << explain;
      while (sqlite3_step(plan) == SQLITE_ROW) {
        const std::string line = reinterpret_cast<const char*>(sqlite3_column_text(plan, 3));
        if (line.find(table) != std::string::npos) lines.push_back(line);
      }
      sqlite3_finalize(plan);
      return Status();
    });
    EXPECT_TRUE(read.ok()) << read.ToString();
    return lines;
  }

  std::set<std::string> statements_;

 private:
  static int Note(unsigned, void* statements, void*, void* sql) {
    static_cast<std::set<std::string>*>(statements)->insert(static_cast<const char*>(sql));
    return 0;
  }
};

TEST_F(QueriesTest, NeitherATickNorAScrapeGoesThroughAllWindowsOfAStream) {
  Apply(Spec());
  ASSERT_TRUE(Observe(Rows("old", 0, 30)).ok());
  Trace();
  ASSERT_TRUE(Observe(Rows("old", 30, 45)).ok());
  monitor_->Tick();
  ASSERT_TRUE(monitor_->List({}).ok());
  Status scraped = database_->Read([](Transaction& transaction) {
    CountUnfinishedWindows(transaction);
    LastMeasured(transaction, "live");
    return Status();
  });
  ASSERT_TRUE(scraped.ok()) << scraped.ToString();
  EndTrace();
  EXPECT_EQ(Windows().back().state(), "measured");
  int asked = 0;
  for (const std::string& statement : statements_) {
    // These end at the last window, or the first of the last that was measured; or are not for now.
    const auto has = [&](const char* part) { return statement.find(part) != std::string::npos; };
    if (has("MAX(number)") || has("ORDER BY number DESC LIMIT") || has("profiles")) continue;
    for (const std::string& line : PlanOf(statement, "stream_windows")) {
      ++asked;
      EXPECT_THAT(line, AnyOf(HasSubstr("stream=? AND"), HasSubstr("(phase<?)"))) << statement;
    }
  }
  EXPECT_GE(asked, 5);
}

}  // namespace
}  // namespace attune::drift
