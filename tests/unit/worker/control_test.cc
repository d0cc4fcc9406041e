#include "worker/trainer/control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>

#include "tests/unit/worker/fake_engine.h"
#include "tests/unit/worker/stream_peer.h"

namespace attune::trainer {
namespace {

using attune::testing::AwaitTrue;
using attune::testing::StreamPeer;
using attune::testing::TheFakeEngine;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Messages = std::vector<v1::TrainerMessage>;

class FakeCoordinator : public v1::TrainerService::Service {
 public:
  grpc::Status Attach(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<v1::TrainerCommand, v1::TrainerMessage>* stream) override {
    return peer.Serve(context, stream);
  }
  StreamPeer<v1::TrainerMessage, v1::TrainerCommand> peer;
};

class ControlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TheFakeEngine() = {};
    options_.trainer_id = "job-1-g1-r0";
    options_.endpoint = {.address = server_.address(), .token = "secret"};
    options_.backoff_initial = milliseconds(10);
    options_.backoff_max = milliseconds(50);
    options_.progress_interval = milliseconds(1);
  }
  void TearDown() override {
    release_ = true;
    if (!control_) return;
    EXPECT_TRUE(runner_.Shutdown(std::chrono::steady_clock::now() + attune::testing::kPatience));
    control_->Shutdown();
  }
  void StartTrainer() {
    auto channel = rpc::Connect(options_.endpoint);
    control_ = std::make_unique<Control>(
        options_, std::shared_ptr(v1::TrainerService::NewStub(*channel)), &runner_, &reports_);
    runner_.Start();
    control_->Start();
  }
  v1::TrainerTask TrainTask(uint32_t rank = 0) {
    v1::TrainerTask task;
    task.set_task_id("job-1-g1-train");
    task.set_job_id("job-1");
    task.set_generation(1);
    task.set_rank(rank);
    task.set_world_size(2);
    task.mutable_train();
    return task;
  }
  void Give(const v1::TrainerTask& task) {
    ASSERT_TRUE(coordinator_.peer.AwaitStreams(1));
    v1::TrainerCommand command;
    *command.mutable_task() = task;
    ASSERT_TRUE(coordinator_.peer.Send(command));
  }
  void Acknowledge(uint64_t sequence) {
    v1::TrainerCommand command;
    command.mutable_acknowledged()->set_sequence(sequence);
    ASSERT_TRUE(coordinator_.peer.Send(command));
  }
  // An engine that reports the steps, then waits to be released or stopped.
  void TrainSteps(int steps) {
    TheFakeEngine().train = [this, steps](
                                const auto&, const auto&, auto*,
                                engine::Observer& observer) -> Result<engine::TrainResult> {
      ++runs_;
      for (int step = 1; step <= steps; ++step) {
        engine::StepReport report;
        report.step = step;
        report.loss = 1.0 / step;
        observer.OnStep(report);
      }
      while (!release_) {
        if (observer.ShouldStop() == engine::StopRequest::kCheckpointAndStop) {
          observer.OnCheckpoint(steps, "/run/checkpoints/step");
        }
        if (observer.ShouldStop() != engine::StopRequest::kNone) return Cancelled("stopped");
        std::this_thread::sleep_for(milliseconds(1));
      }
      engine::TrainResult result;
      result.steps = steps;
      result.final_loss = 0.25;
      result.final_validation_loss = 0.5;
      result.output = "/run/output";
      return result;
    };
  }
  static std::vector<uint64_t> Sequences(const Messages& messages) {
    std::vector<uint64_t> sequences;
    for (const auto& message : messages) {
      if (message.sequence() > 0) sequences.push_back(message.sequence());
    }
    return sequences;
  }
  std::optional<v1::TrainerMessage> AwaitReport(v1::TrainerMessage::MessageCase kind) {
    std::optional<v1::TrainerMessage> found;
    coordinator_.peer.Await([&](const Messages& messages) {
      auto it = std::find_if(messages.begin(), messages.end(),
                             [&](const auto& m) { return m.message_case() == kind; });
      if (it != messages.end()) found = *it;
      return it != messages.end();
    });
    return found;
  }
  // Runs a GENERATE task to its end; its whole output.
  std::string Generated() {
    StartTrainer();
    auto task = TrainTask();
    task.mutable_generate();
    Give(task);
    EXPECT_TRUE(AwaitReport(v1::TrainerMessage::kDone));
    std::string output;
    for (const auto& message : coordinator_.peer.received()) output += message.output().data();
    return output;
  }

  FakeCoordinator coordinator_;
  attune::testing::TestServer server_{&coordinator_};
  Control::Options options_;
  ReportBuffer reports_;
  std::unique_ptr<Control> control_;
  std::atomic<bool> release_{false};
  std::atomic<int> runs_{0};
  TaskRunner runner_{{"cpu", 1},
                     [](const std::string&) { return std::shared_ptr<engine::KeyValueStore>(); },
                     &reports_,
                     [this] { control_->Wake(); }};
};

TEST_F(ControlTest, SaysWhoItIs) {
  StartTrainer();
  auto hello = AwaitReport(v1::TrainerMessage::kHello);
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->hello().trainer_id(), "job-1-g1-r0");
  EXPECT_EQ(hello->hello().pid(), getpid());
  EXPECT_EQ(hello->hello().running_task_id(), "");
  EXPECT_EQ(hello->hello().next_sequence(), 1u);
  EXPECT_EQ(hello->sequence(), 0u);
}

TEST_F(ControlTest, RunsATaskAndReportsIt) {
  TrainSteps(2);
  StartTrainer();
  release_ = true;
  Give(TrainTask());
  auto done = AwaitReport(v1::TrainerMessage::kDone);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->done().task_id(), "job-1-g1-train");
  EXPECT_EQ(done->done().output_path(), "/run/output");
  EXPECT_EQ(done->done().total_steps(), 2u);
  EXPECT_DOUBLE_EQ(done->done().metrics().at("validation_loss"), 0.5);
  EXPECT_THAT(Sequences(coordinator_.peer.received()), ElementsAre(1, 2, 3));
}

TEST_F(ControlTest, SendsUnacknowledgedReportsAgainAfterABreak) {
  TrainSteps(4);
  StartTrainer();
  Give(TrainTask());
  ASSERT_TRUE(coordinator_.peer.Await([](const Messages& m) { return Sequences(m).size() >= 4; }));
  Acknowledge(2);
  ASSERT_TRUE(AwaitTrue([&] { return reports_.first_sequence() == 3; }));
  coordinator_.peer.Forget();
  server_.Stop();  // the coordinator dies; the task goes on
  server_.Start();
  ASSERT_TRUE(coordinator_.peer.Await([](const Messages& m) { return Sequences(m).size() >= 2; }));
  auto hello = AwaitReport(v1::TrainerMessage::kHello);
  EXPECT_EQ(hello->hello().running_task_id(), "job-1-g1-train");
  EXPECT_EQ(hello->hello().next_sequence(), 3u);
  EXPECT_THAT(Sequences(coordinator_.peer.received()), ElementsAre(3, 4));
  release_ = true;
  ASSERT_TRUE(AwaitReport(v1::TrainerMessage::kDone));
  EXPECT_EQ(AwaitReport(v1::TrainerMessage::kDone)->sequence(), 5u);
  EXPECT_EQ(runs_, 1);
}

TEST_F(ControlTest, ARepeatedTaskRunsOnce) {
  TrainSteps(1);
  StartTrainer();
  Give(TrainTask());
  Give(TrainTask());
  ASSERT_TRUE(AwaitReport(v1::TrainerMessage::kMetrics));
  Give(TrainTask());
  release_ = true;
  ASSERT_TRUE(AwaitReport(v1::TrainerMessage::kDone));
  auto other = TrainTask();
  other.set_task_id("another");
  Give(other);
  ASSERT_TRUE(coordinator_.peer.Await([](const Messages& messages) {
    return std::any_of(messages.begin(), messages.end(),
                       [](const auto& m) { return m.done().task_id() == "another"; });
  }));
  EXPECT_EQ(runs_, 2);
}

TEST_F(ControlTest, AStopReachesTheEngine) {
  TrainSteps(1);
  StartTrainer();
  Give(TrainTask());
  ASSERT_TRUE(AwaitReport(v1::TrainerMessage::kMetrics));
  v1::TrainerCommand command;
  command.mutable_stop()->set_task_id("another");
  ASSERT_TRUE(coordinator_.peer.Send(command));  // not ours
  command.mutable_stop()->set_task_id("job-1-g1-train");
  command.mutable_stop()->set_checkpoint(true);
  ASSERT_TRUE(coordinator_.peer.Send(command));
  auto failed = AwaitReport(v1::TrainerMessage::kFailed);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failed().kind(), v1::TaskFailed::KIND_UNSPECIFIED);
  EXPECT_EQ(failed->failed().step(), 1u);
  EXPECT_TRUE(AwaitReport(v1::TrainerMessage::kCheckpoint));
}

// Also one that comes just when the runner takes the task: in each round a little later after the
// end of another.
TEST(TaskRunner, AStopAlwaysFindsTheTask) {
  std::atomic<int> started{0};
  std::atomic<bool> lost{false}, ended{false};
  TheFakeEngine() = {};
  TheFakeEngine().train = [&](const auto&, const auto&, auto*,
                              engine::Observer& observer) -> Result<engine::TrainResult> {
    ++started;
    const auto until = std::chrono::steady_clock::now() + attune::testing::kPatience;
    while (observer.ShouldStop() == engine::StopRequest::kNone && !lost) {
      lost = std::chrono::steady_clock::now() > until;
      std::this_thread::yield();
    }
    return Cancelled("stopped");
  };
  ReportBuffer reports;
  TaskRunner runner({"cpu", 1}, {}, &reports, [&] { ended = true; });
  runner.Start();
  auto give = [&](const std::string& id) {
    v1::TrainerTask task;
    task.set_task_id(id);
    task.mutable_train();
    runner.Give(task);
  };
  auto stop = [&](const std::string& id) { runner.Stop(id, engine::StopRequest::kStop, ""); };
  for (int i = 0; i < 500 && !lost; ++i) {
    const std::string first = "first-" + std::to_string(i), second = "second-" + std::to_string(i);
    const int before = started;
    give(first);
    while (started == before) std::this_thread::yield();
    give(second);
    ended = false;
    stop(first);
    for (int later = -1; later < i % 200; later += ended ? 1 : 0) {
    }
    stop(second);
    while (!runner.running_task_id().empty()) std::this_thread::yield();
  }
  EXPECT_FALSE(lost);
  EXPECT_TRUE(runner.Shutdown(std::chrono::steady_clock::now() + attune::testing::kPatience));
}

TEST_F(ControlTest, OnlyTheFirstRankSendsMetrics) {
  TrainSteps(3);
  StartTrainer();
  release_ = true;
  Give(TrainTask(1));
  auto done = AwaitReport(v1::TrainerMessage::kDone);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->sequence(), 1u);
}

TEST_F(ControlTest, AFailureSaysWhoseItIs) {
  TheFakeEngine().train = [](const auto&, const auto&, auto*,
                             auto&) -> Result<engine::TrainResult> {
    return InvalidArgument("no target \xff token");
  };
  StartTrainer();
  Give(TrainTask());
  auto failed = AwaitReport(v1::TrainerMessage::kFailed);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failed().kind(), v1::TaskFailed::INVALID);
  EXPECT_EQ(failed->failed().message(), "no target \xef\xbf\xbd token");
}

TEST_F(ControlTest, AnEscapedExceptionIsReported) {
  TheFakeEngine().train = [](const auto&, const auto&, auto*,
                             auto&) -> Result<engine::TrainResult> {
    throw std::runtime_error("tensor trouble");
  };
  StartTrainer();
  Give(TrainTask());
  auto failed = AwaitReport(v1::TrainerMessage::kFailed);
  ASSERT_TRUE(failed);
  EXPECT_EQ(failed->failed().kind(), v1::TaskFailed::INTERNAL);
  EXPECT_THAT(failed->failed().message(), HasSubstr("tensor trouble"));
}

TEST_F(ControlTest, ProgressIsTheLatest) {
  TheFakeEngine().prepare = [this](const auto&,
                                   engine::Observer& observer) -> Result<engine::PrepareResult> {
    for (int i = 1; i <= 1000; ++i) observer.OnProgress({"tokenizing", double(i), 1000, 5});
    while (!release_) std::this_thread::sleep_for(milliseconds(1));
    return engine::PrepareResult{.examples = 7};
  };
  StartTrainer();
  auto task = TrainTask();
  task.mutable_prepare();
  Give(task);
  EXPECT_TRUE(coordinator_.peer.Await(
      [](const Messages& m) { return !m.empty() && m.back().progress().done() == 1000; }));
  EXPECT_EQ(coordinator_.peer.received().back().progress().own(), 5);
  EXPECT_LT(coordinator_.peer.received().size(), 1000u);
  release_ = true;
  auto done = AwaitReport(v1::TrainerMessage::kDone);
  ASSERT_TRUE(done);
  EXPECT_DOUBLE_EQ(done->done().metrics().at("examples"), 7);
}

TEST_F(ControlTest, APlanIsMadeOfWhatItHasPreparedItself) {
  TheFakeEngine().plan = [](const auto&, int ranks, auto&) -> Result<engine::PlanResult> {
    engine::PlanResult plan;
    plan.steps = 10 * ranks;
    plan.data.examples = 7;
    return plan;
  };
  StartTrainer();
  auto task = TrainTask();
  task.mutable_plan()->set_ranks(2);
  Give(task);
  auto done = AwaitReport(v1::TrainerMessage::kDone);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->done().total_steps(), 20u);
  EXPECT_DOUBLE_EQ(done->done().metrics().at("examples"), 7);
}

TEST_F(ControlTest, WarningsAreReportedByTheFirstRank) {
  TheFakeEngine().prepare = [](const auto& prepare,
                               engine::Observer& observer) -> Result<engine::PrepareResult> {
    observer.OnWarning(prepare.base.reference + "\xff");
    return engine::PrepareResult{
        .datasets = {{"a@1", 1, 0, {.truncated = 2}, {.unusable = 3}, 0, {}},
                     {"b@1", 1, 0, {.truncated = 5}, {}, 0, {}}}};
  };
  StartTrainer();
  auto task = TrainTask();
  task.mutable_prepare();
  task.mutable_base()->set_reference("m@1");
  Give(task);
  auto done = AwaitReport(v1::TrainerMessage::kDone);
  ASSERT_TRUE(done);
  EXPECT_DOUBLE_EQ(done->done().metrics().at("truncated"), 7);
  EXPECT_DOUBLE_EQ(done->done().metrics().at("validation_unusable"), 3);
  auto warning = AwaitReport(v1::TrainerMessage::kWarning);
  ASSERT_TRUE(warning);
  EXPECT_EQ(warning->warning().message(), "m@1\xef\xbf\xbd");
  EXPECT_LT(warning->sequence(), done->sequence());
}

TEST_F(ControlTest, OutputComesInPieces) {
  const std::string line(5 << 19, 'x');
  TheFakeEngine().generate = [&](const auto&, engine::Observer& observer) {
    observer.OnOutput(line);
    return Status();
  };
  EXPECT_EQ(Generated(), line + "\n");
}

// Not each by itself, but all before the answer that they make.
TEST_F(ControlTest, PiecesOfAnswersAreToldTogether) {
  TheFakeEngine().generate = [&](const auto&, engine::Observer& observer) {
    for (int i = 0; i < 1000; ++i) observer.OnText(i % 2, "x");
    observer.OnText(0, "\xff");
    observer.OnOutput("{}");
    return Status();
  };
  std::istringstream lines(Generated());
  std::vector<std::string> texts(2);
  int pieces = 0;
  std::string line;
  while (std::getline(lines, line) && line != "{}") {
    const auto json = nlohmann::json::parse(line);
    texts.at(json.at("prompt_index")) += json.at("piece").get<std::string>();
    ++pieces;
  }
  EXPECT_EQ(line, "{}");
  EXPECT_FALSE(std::getline(lines, line));
  EXPECT_EQ(texts[0], std::string(500, 'x') + "\xef\xbf\xbd");
  EXPECT_EQ(texts[1], std::string(500, 'x'));
  EXPECT_LT(pieces, 500);
}

TEST_F(ControlTest, ExitIsTold) {
  StartTrainer();
  ASSERT_TRUE(coordinator_.peer.AwaitStreams(1));
  v1::TrainerCommand command;
  command.mutable_exit()->set_reason("the job is done");
  ASSERT_TRUE(coordinator_.peer.Send(command));
  EXPECT_TRUE(AwaitTrue([&] { return control_->end() == Control::End::kTold; }));
  EXPECT_EQ(control_->why(), "the job is done");
}

TEST_F(ControlTest, GivesUpWhenTheCoordinatorStaysAway) {
  options_.away_max = milliseconds(100);
  server_.Stop();
  StartTrainer();
  EXPECT_TRUE(AwaitTrue([&] { return control_->end() == Control::End::kAway; }));
}

// A rank that sends no reports hears nothing for hours; that is no absence.
TEST_F(ControlTest, ASilentStreamThatBreaksIsDialledAgain) {
  options_.away_max = milliseconds(50);
  TrainSteps(1);
  StartTrainer();
  Give(TrainTask());
  ASSERT_TRUE(AwaitReport(v1::TrainerMessage::kMetrics));
  Acknowledge(1);
  ASSERT_TRUE(AwaitTrue([&] { return reports_.first_sequence() == 2; }));
  const auto last_heard = std::chrono::steady_clock::now();
  ASSERT_TRUE(
      AwaitTrue([&] { return std::chrono::steady_clock::now() - last_heard > options_.away_max; }));
  coordinator_.peer.Break();
  EXPECT_TRUE(coordinator_.peer.AwaitStreams(2));
  EXPECT_EQ(control_->end(), Control::End::kNone);
}

TEST_F(ControlTest, EndsWhenItsRunIsOver) {
  coordinator_.peer.set_refusal(grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "the run is over"));
  StartTrainer();
  EXPECT_TRUE(AwaitTrue([&] { return control_->end() == Control::End::kRefused; }));
  EXPECT_EQ(control_->why(), "the run is over");
}

}  // namespace
}  // namespace attune::trainer
