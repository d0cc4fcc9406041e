// Live data in two domains, real EMBED jobs, and a coordinator that is killed between them.

#include <gmock/gmock.h>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

using ::testing::HasSubstr;

// A fifth of the rows of the data set "docs", with all last digits alike.
std::string FifthOfDocs() {
  std::string rows;
  for (int i = 0; i < 300; ++i) {
    if ((i + i / 10) % 5 != 0) continue;
    rows += "{\"prompt\":\"What is " + std::to_string(i) + " plus " + std::to_string(i % 7) +
            "?\",\"completion\":\"It is " + std::to_string(i + i % 7) + ".\"}\n";
  }
  return rows;
}

std::string Weather(int from, int to) {
  std::string rows;
  for (int i = from; i < to; ++i) {
    rows += "{\"prompt\":\"Tell me about the weather in town number " + std::to_string(i) +
            ", please, as long as you like!\"}\n";
  }
  return rows;
}

class DriftTest : public ::testing::Test {
 protected:
  void Observe(const std::string& name, const std::string& rows) {
    Finished finished =
        cluster_.Attune({"drift", "observe", "live", cluster_.Write(name, rows).string()});
    ASSERT_EQ(finished.exit_code, 0) << finished.err;
  }
  Json Show() { return cluster_.AttuneJson({"drift", "show", "live"}); }
  // Until so many windows are done.
  Json WaitForWindows(size_t count) {
    Json stream;
    EXPECT_TRUE(Eventually([&] {
      stream = Show();
      size_t done = 0;
      for (const Json& window : stream["history"]) {
        done += window["state"] == "measured" || window["state"] == "failed" ? 1 : 0;
      }
      return done >= count;
    })) << stream.dump(1);
    return stream;
  }

  Cluster cluster_;
};

TEST_F(DriftTest, ANewDomainRaisesAnAlarmWhateverDies) {
  ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
  ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
  auto spec = cluster_.Write("live.yaml",
                             "name: live\nmodel: tiny\nreference: docs\n"
                             "window: {examples: 60, examples_min: 30}\n");
  Finished applied = cluster_.Attune({"drift", "apply", spec.string()});
  ASSERT_EQ(applied.exit_code, 0) << applied.err;

  ASSERT_NO_FATAL_FAILURE(Observe("in/sums.jsonl", FifthOfDocs()));
  Json stream = WaitForWindows(1);
  ASSERT_EQ(stream["history"][0]["state"], "measured") << stream.dump(1);
  EXPECT_EQ(stream["state"], "stable") << stream.dump(1);

  ASSERT_NO_FATAL_FAILURE(Observe("in/weather.jsonl", Weather(0, 130)));
  cluster_.Kill(cluster_.Pid("coordinator"));
  ASSERT_NO_FATAL_FAILURE(cluster_.UpAgain());
  stream = WaitForWindows(3);
  EXPECT_EQ(stream["observed"], 190);
  EXPECT_EQ(stream["waiting"], 10);
  EXPECT_EQ(stream["state"], "alarm") << stream.dump(1);
  const Json& last = stream["history"][2];
  EXPECT_TRUE(last["alarm"]);
  EXPECT_EQ(last["labelled"], 0);
  EXPECT_EQ(last["dataset"], "live@3");
  double largest = 0;
  for (const Json& result : last["detectors"]) {
    if (result["drifted"]) largest = std::max(largest, result["effect"].get<double>());
  }
  EXPECT_GT(largest, 0.5) << last.dump(1);
  Finished shown = cluster_.Attune({"drift", "show", "live"});
  EXPECT_THAT(shown.out, HasSubstr("alarm"));

  ASSERT_EQ(cluster_.Attune({"drift", "close", "live"}).exit_code, 0);
  EXPECT_EQ(cluster_.AttuneJson({"dataset", "show", "live"})["version"], 4);
  ASSERT_EQ(cluster_.Attune({"drift", "delete", "live"}).exit_code, 0);
  EXPECT_EQ(cluster_.Attune({"drift", "show", "live"}).exit_code, 3);
}

}  // namespace
}  // namespace attune::cluster
