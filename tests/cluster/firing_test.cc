// Cron and a coordinator that dies of kill -9: before a slot, as it passes, and after each commit
// that follows from it. There is no worker, so nothing but the schedule moves: jobs stay in the
// queue, and the test cancels their updates.

#include <gmock/gmock.h>

#include <ctime>
#include <deque>
#include <future>
#include <set>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

using std::chrono::days;
using std::chrono::hours;
using Wall = std::chrono::system_clock;

constexpr int kCommitsMax = 40;  // of one firing: far more than there are

std::string Schedule(const std::string& name, const std::string& more) {
  return "name: " + name +
         "\njob: {base: tiny, dataset: docs, method: full}\n"
         "trigger: {cron: \"0 3 * * *\"}\n"
         "promote: {model: tuned}\n" +
         more;
}

class FiringTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cluster_.Use({{"ATTUNE_TEST_CLOCK", cluster_.Write("clock", "0").string()},
                  {"ATTUNE_TEST_DEATH", cluster_.Write("death", "0").string()}});
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(0));
    ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
    pid_ = cluster_.Pid("coordinator");
  }

  bool IsDead() const { return !IsAlive(pid_); }
  // One that dies after so many commits; 0: it lives.
  void Start(int commits) {
    cluster_.Write("death", std::to_string(commits));
    pid_ = cluster_.StartCoordinator();
  }
  void Revive() {
    while (IsDead()) {
      died_ = true;
      const int commits = deaths_.empty() ? 0 : deaths_.front();
      if (!deaths_.empty()) deaths_.pop_front();
      Start(commits);
    }
  }
  bool Answers() { return cluster_.Attune({"job", "list"}).exit_code == 0; }
  // attune ARGUMENTS, with a new coordinator whenever it dies. A try to connect that meets a
  // process while it dies may take its whole 5 s, and the next one, too.
  void Ask(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--timeout", "60s"});
    auto asked = std::async(std::launch::async, [&] { return cluster_.Attune(arguments); });
    EXPECT_TRUE(Eventually([&] {
      Revive();
      return asked.wait_for(seconds(0)) == std::future_status::ready;
    }));
    const Finished finished = asked.get();
    EXPECT_EQ(finished.exit_code, 0) << ::testing::PrintToString(arguments) << finished.err;
  }
  void Apply(const std::string& noun, const std::string& spec) {
    Ask({noun, "apply", cluster_.Write("in/" + noun + ".yaml", spec).string()});
  }

  // Moves the coordinator's clock past the first 03:00 that is at least so many days away, and
  // returns what an update says of that slot.
  std::string Pass(days more = days(0), seconds past = seconds(1)) {
    const auto present = std::chrono::floor<seconds>(Wall::now()) + moved_;
    const auto from = present + more;
    auto slot = std::chrono::floor<days>(from) + hours(3);
    if (slot <= from) slot += days(1);
    moved_ += slot - present + past;
    cluster_.Write("clock", std::to_string(moved_.count()));
    const std::time_t time = Wall::to_time_t(slot);
    std::tm parts{};
    gmtime_r(&time, &parts);
    char text[64];
    std::strftime(text, sizeof text, "slot %Y-%m-%d %H:%M:%S UTC", &parts);
    return text;
  }

  // The newest update, once it is of this slot and its job is in the queue.
  Json WaitForJob(const std::string& schedule, const std::string& slot) {
    Json update;
    EXPECT_TRUE(Eventually([&] {
      Revive();
      Finished history = cluster_.Attune({"schedule", "history", schedule, "-o", "json"});
      const Json updates = Json::parse(history.out, nullptr, false);
      if (history.exit_code != 0 || !updates.is_array() || updates.empty()) return false;
      update = updates[0];
      return update["trigger_detail"] == slot && !update.value("job_id", "").empty();
    })) << slot
        << update.dump(1);
    return update;
  }
  void Cancel(const Json& update) {
    Ask({"schedule", "cancel", update.value("id", "")});
    EXPECT_TRUE(Eventually([&] {
      Revive();
      Finished queued = cluster_.Attune({"job", "list", "--state", "queued", "-o", "name"});
      return queued.exit_code == 0 && queued.out.empty();
    }));
  }

  // What fired, oldest first.
  std::vector<std::string> Fired(const std::string& schedule) {
    std::vector<std::string> fired;
    for (const Json& update :
         cluster_.AttuneLines({"schedule", "history", schedule, "--limit", "1000"})) {
      fired.insert(fired.begin(), update.value("trigger_detail", ""));
    }
    return fired;
  }
  // The update that asked for it, of every training job that there ever was.
  std::vector<std::string> UpdatesOfJobs() {
    std::vector<std::string> updates;
    for (const Json& job : cluster_.AttuneLines({"job", "list", "--limit", "1000"})) {
      updates.push_back(job.value("update", ""));
    }
    return updates;
  }

  Cluster cluster_;
  pid_t pid_ = 0;
  bool died_ = false;
  std::deque<int> deaths_;  // of the coordinators to come: after how many commits
  seconds moved_{0};
};

TEST_F(FiringTest, EachSlotFiresOnceWhereverTheCoordinatorIsKilled) {
  Apply("drift",
        "name: live\nmodel: tiny\nwindow: {examples: 1000, examples_min: 10, time: 30d}\n");
  Apply("schedule", Schedule("nightly", "data: {observe: live}\n"));
  const std::string rows = cluster_.Write("in/rows.jsonl", TextRows(60)).string();
  std::vector<std::string> slots, updates;
  int commits = 0;
  do {
    SCOPED_TRACE("killed after commit " + std::to_string(++commits));
    Ask({"drift", "observe", "live", rows});
    // The slot passes while there is no coordinator, or under its eyes.
    ASSERT_NO_FATAL_FAILURE(cluster_.Kill(pid_));
    const bool late = commits % 2 == 0;
    if (late) slots.push_back(Pass());
    Start(commits);
    if (!late) {
      ASSERT_TRUE(Eventually([&] { return Answers(); }));
      slots.push_back(Pass());
    }
    died_ = false;
    deaths_ = {1 + commits % 3};  // and once more in what was left
    const Json update = WaitForJob("nightly", slots.back());
    Cancel(update);
    updates.insert(updates.begin(), update.value("id", ""));
  } while (died_ && commits < kCommitsMax && !HasFailure());
  EXPECT_FALSE(died_);
  EXPECT_GT(commits, 10);  // fired, started, closed, chosen, composed, submitted, cancelled, ...
  EXPECT_EQ(Fired("nightly"), slots);
  EXPECT_EQ(UpdatesOfJobs(), updates);
}

TEST_F(FiringTest, OfSlotsThatPassedWhileItWasDeadTheLatestFiresOrNone) {
  Apply("schedule", Schedule("latest", ""));
  Apply("schedule", Schedule("none", "limits: {catch_up: none}\n"));
  ASSERT_NO_FATAL_FAILURE(cluster_.Kill(pid_));
  const std::string late = Pass(days(3), hours(1));
  Cancel(WaitForJob("latest", late));
  const std::string on_time = Pass();
  WaitForJob("none", on_time);
  EXPECT_EQ(Fired("none"), std::vector<std::string>({on_time}));
  EXPECT_EQ(Fired("latest"), std::vector<std::string>({late, on_time}));
}

TEST_F(FiringTest, AClockThatJumpsAWeekSubmitsNoJobTwice) {
  Apply("schedule", Schedule("weekly", ""));
  ASSERT_NO_FATAL_FAILURE(cluster_.Kill(pid_));
  Start(4);  // fired, started, chosen; the job is there, but the update does not know it
  ASSERT_TRUE(Eventually([&] { return Answers(); }));
  Pass();
  ASSERT_TRUE(Eventually([&] { return IsDead(); }));
  const std::string late = Pass(days(8));
  Revive();
  Json updates;
  EXPECT_TRUE(Eventually([&] {
    Finished history = cluster_.Attune({"schedule", "history", "weekly", "-o", "json"});
    updates = Json::parse(history.out, nullptr, false);
    return history.exit_code == 0 && updates.size() == 2 && updates[0]["state"] == "SKIPPED" &&
           !updates[1].value("job_id", "").empty();
  })) << updates.dump(1);
  EXPECT_EQ(updates[0]["trigger_detail"], late);
  EXPECT_EQ(UpdatesOfJobs(), std::vector<std::string>({updates[1].value("id", "")}));
}

}  // namespace
}  // namespace attune::cluster
