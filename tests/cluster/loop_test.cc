// The whole loop with real processes on real text: a champion that knows one package's functions;
// live traffic moves to another package; an alarm, retraining with replay, gates, promotion; a
// poisoned batch whose model is refused; rollback. The daemon's wall clock is moved by the test.

#include <gmock/gmock.h>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char* kStream = R"(
name: live-docs
model: docs@champion
window: {examples: 1000, examples_min: 100, time: 30d, validation_fraction: 0.25}
alarm: {false_alarms_per_week: 0.05, persistence: 2}
)";

constexpr const char* kSchedule = R"(
name: docs-weekly
job:
  base: tiny
  dataset: known-docs
  method: full
  train: {epochs: 4, sequence_length: 256, global_batch: 8, micro_batch: 4}
  optimizer: {learning_rate: 3e-3, warmup_steps: 4}
  evaluate: {every_steps: 0}
start_from: champion
trigger: {cron: "0 3 * * MON", timezone: Europe/Berlin, drift: true}
data: {observe: live-docs, replay: [{dataset: known-docs, share: 0.4}]}
gates:
  goals: {validation_loss: {max: 2.6}}
  champion: {metric: validation_loss, margin: 0.0, confidence: 0.95}
  retention: [{name: stdlib, dataset: known-docs, metric: validation_loss, budget: 0.15}, {name: recent, dataset: "@champion", budget: 0.15}]
  smoke: [{prompt: "def close(self):\n", max_tokens: 16}]
promote: {model: docs, alias: champion, rollback: {live_loss_increase: 0.1, windows: 1}}
limits: {cool_down: 0s}
)";

constexpr const char* kFirst = R"(
name: first
base: tiny
dataset: known-docs
method: full
train: {epochs: 6, sequence_length: 256, global_batch: 8, micro_batch: 4}
optimizer: {learning_rate: 3e-3, warmup_steps: 4}
evaluate: {every_steps: 0}
register: docs
)";

class LoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    clock_ = cluster_.Write("clock", "0");
    cluster_.Use({{"ATTUNE_TEST_CLOCK", clock_.string()}});
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(2));
    fs::create_directories(cluster_.home() / "in");
    Finished data = cluster::Run(
        {"tools/demo-loop-data", (cluster_.home() / "in").string(), ATTUNE_WHEELS_DIR, "--short"},
        {}, kPatience);
    ASSERT_EQ(data.exit_code, 0) << data.err;
    testing::TinyLlama shape;
    shape.hidden = 64;
    shape.intermediate = 128;
    ASSERT_TRUE(testing::WriteTinyLlama(cluster_.home() / "in/tiny", shape).ok());
    Succeeds({"model", "import", "tiny", In("tiny")});
  }

  std::string In(const std::string& name) const { return (cluster_.home() / "in" / name).string(); }

  std::string Succeeds(const std::vector<std::string>& arguments) {
    Finished finished = cluster_.Attune(arguments, kPatience);
    EXPECT_EQ(finished.exit_code, 0)
        << ::testing::PrintToString(arguments) << finished.out << finished.err;
    return finished.out;
  }

  // A model that knows the standard library, and is served.
  void MakeChampion() {
    Succeeds({"dataset", "import", "known-docs", In("known.jsonl"), "--validation", "0.2"});
    Json job = cluster_.WaitForEnd(cluster_.Submit(kFirst));
    ASSERT_EQ(job["state"], "SUCCEEDED") << job.dump(1);
    Succeeds({"model", "promote", "docs@1", "--reason", "the first one"});
  }

  // Observes a file as a window of its own, and waits until it was measured.
  Json Observe(const std::string& file) {
    Succeeds({"drift", "observe", "live-docs", In(file)});
    Succeeds({"drift", "close", "live-docs"});
    ++windows_;
    Json window;
    EXPECT_TRUE(Eventually([&] {
      Json stream = cluster_.AttuneJson({"drift", "show", "live-docs"});
      for (const Json& entry : stream["history"]) {
        if (entry["number"] != windows_) continue;
        window = entry;
        return entry["state"] == "measured" || entry["state"] == "failed";
      }
      return false;
    })) << file;
    EXPECT_EQ(window["state"], "measured") << window.dump(1);
    return window;
  }

  // The newest update, once its state is one of these.
  Json WaitForUpdate(const std::set<std::string>& states, size_t number) {
    Json update;
    EXPECT_TRUE(Eventually([&] {
      Json updates = cluster_.AttuneJson({"schedule", "history", "docs-weekly"});
      if (updates.size() < number) return false;
      update = updates[0];
      return states.contains(update["state"].get<std::string>());
    })) << update.dump(1);
    return update;
  }

  std::string Champion() {
    return cluster_.AttuneJson({"model", "show", "docs@champion"})["version"].dump();
  }

  Cluster cluster_;
  fs::path clock_;
  int windows_ = 0;
};

TEST_F(LoopTest, StaysGoodWithoutAnyoneWatching) {
  ASSERT_NO_FATAL_FAILURE(MakeChampion());
  Succeeds({"drift", "apply", cluster_.Write("stream.yaml", kStream).string()});
  Succeeds({"schedule", "apply", cluster_.Write("schedule.yaml", kSchedule).string()});

  // What the champion knows is no drift.
  Json same = Observe("known-live.jsonl");
  EXPECT_FALSE(same.value("drifted", false)) << same.dump(1);

  // Another package: drift, and an alarm once it stays. The coordinator dies in between.
  Json first = Observe("moved-1.jsonl");
  EXPECT_TRUE(first.value("drifted", false)) << first.dump(1);
  EXPECT_FALSE(first.value("alarm", false));
  cluster_.Kill(cluster_.Pid("coordinator"));
  cluster_.UpAgain();
  Json second = Observe("moved-2.jsonl");
  EXPECT_TRUE(second.value("alarm", false)) << second.dump(1);

  // The alarm retrains; the candidate is better on the new text and has kept the old.
  Json update = WaitForUpdate({"WATCHING", "PROMOTED", "KEPT", "FAILED", "SKIPPED"}, 1);
  ASSERT_EQ(update["state"], "WATCHING") << update.dump(1);
  EXPECT_EQ(update["trigger"], "drift");
  EXPECT_EQ(update["champion"], "docs@1");
  EXPECT_EQ(update["candidate"], "docs@2");
  EXPECT_EQ(Champion(), "2");
  Json retained = update["report"]["skills"][0];
  EXPECT_EQ(retained["skill"], "stdlib");
  EXPECT_TRUE(retained["kept"].get<bool>());

  // Live data says that it is better: the watch ends.
  Observe("moved-3.jsonl");
  EXPECT_EQ(WaitForUpdate({"PROMOTED", "ROLLED_BACK"}, 1)["state"], "PROMOTED");

  // A poisoned batch, and Monday morning: what was learned from it is not good enough.
  Observe("poison.jsonl");
  cluster_.Write("clock", std::to_string(8 * 86400));
  Json refused = WaitForUpdate({"KEPT", "WATCHING", "PROMOTED", "FAILED", "SKIPPED"}, 2);
  ASSERT_EQ(refused["state"], "KEPT") << refused.dump(1);
  EXPECT_EQ(refused["trigger"], "cron");
  EXPECT_THAT(refused["reason"].get<std::string>(), HasSubstr("at most 2.6"));
  EXPECT_EQ(Champion(), "2");

  // The same verdict from the recorded facts alone.
  const std::string candidate = refused["candidate"];
  EXPECT_EQ(cluster_.Attune({"model", "gates", candidate, "--save", In("facts")}).exit_code, 1);
  Finished offline = cluster_.Attune({"model", "gates", "--facts", In("facts"), "-o", "json"});
  EXPECT_EQ(offline.exit_code, 1) << offline.err;
  EXPECT_EQ(Json::parse(offline.out)["verdict"], refused["report"]["verdict"]);

  // Back to the old one in one command; the history has it all.
  Succeeds({"model", "rollback", "docs", "--reason", "told to"});
  EXPECT_EQ(Champion(), "1");
  Json history = cluster_.AttuneJson({"model", "history", "docs"});
  ASSERT_EQ(history.size(), 3u) << history.dump(1);
  EXPECT_EQ(history[0]["kind"], "rollback");
  EXPECT_EQ(history[1]["actor"], "schedule:docs-weekly");
  EXPECT_EQ(history[1]["evidence"], update["id"]);
}

}  // namespace
}  // namespace attune::cluster
