#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <nlohmann/json.hpp>

#include "attune/v1/drift.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/rpc.h"
#include "common/spec/stream_spec.h"
#include "tests/unit/cli/cli_runner.h"
#include "tools/cli/drift_view.h"

namespace attune::cli {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

// A coordinator that knows the one stream "live".
class FakeDrift final : public v1::DriftService::Service {
 public:
  grpc::Status ApplyStream(grpc::ServerContext*, const v1::ApplyStreamRequest* request,
                           v1::Stream* response) override {
    stream.mutable_spec()->CopyFrom(request->spec());
    *response = stream;
    return grpc::Status::OK;
  }
  grpc::Status GetStream(grpc::ServerContext*, const v1::GetStreamRequest* request,
                         v1::Stream* response) override {
    if (request->name() != "live") return rpc::ToGrpc(NotFound("there is no stream"));
    *response = stream;
    return grpc::Status::OK;
  }
  grpc::Status ListStreams(grpc::ServerContext*, const v1::ListStreamsRequest*,
                           v1::ListStreamsResponse* response) override {
    *response->add_streams() = stream;
    return grpc::Status::OK;
  }
  grpc::Status DeleteStream(grpc::ServerContext*, const v1::DeleteStreamRequest* request,
                            v1::DeleteStreamResponse*) override {
    deleted = request->name();
    return grpc::Status::OK;
  }
  grpc::Status Observe(grpc::ServerContext*, grpc::ServerReader<v1::ObserveRequest>* reader,
                       v1::ObserveResponse* response) override {
    std::string data, id;
    bool ended = false;
    for (v1::ObserveRequest part; reader->Read(&part);) {
      if (part.has_header()) id = part.header().request_id();
      if (part.has_chunk()) data += part.chunk().data();
      if (part.has_end()) ended = part.end().bytes() == data.size();
    }
    request_ids.push_back(id);
    if (request_ids.size() <= unavailable) return {grpc::StatusCode::UNAVAILABLE, "away"};
    if (!ended) return rpc::ToGrpc(InvalidArgument("cut off"));
    observed = data;
    response->set_accepted(3);
    response->set_labelled(2);
    response->set_rejected(1);
    response->add_rejected_rows("a.jsonl:4: no JSON");
    response->set_waiting(7);
    return grpc::Status::OK;
  }
  grpc::Status ListWindows(grpc::ServerContext*, const v1::ListWindowsRequest* request,
                           v1::ListWindowsResponse* response) override {
    ++looks;
    for (v1::Window& window : windows) {
      if (looks > embedding_looks && window.state() == "embedding") window.set_state(becomes);
      if (window.number() <= request->after()) continue;
      if (response->windows_size() == 2) {  // a page
        response->set_more(true);
        break;
      }
      *response->add_windows() = window;
    }
    return grpc::Status::OK;
  }
  grpc::Status CloseWindow(grpc::ServerContext*, const v1::CloseWindowRequest*,
                           v1::Stream* response) override {
    *response = stream;
    response->set_windows(closes_window);
    return grpc::Status::OK;
  }
  grpc::Status SetWindowExcluded(grpc::ServerContext*, const v1::SetWindowExcludedRequest* request,
                                 v1::Window* response) override {
    if (request->number() == 0 || request->number() > windows.size()) {
      return rpc::ToGrpc(NotFound("stream 'live' has no window"));
    }
    v1::Window& window = windows[request->number() - 1];
    window.set_excluded(request->excluded());
    window.set_excluded_reason(request->excluded() ? request->reason() + " (by user:ann)" : "");
    *response = window;
    return grpc::Status::OK;
  }

  v1::Stream stream;
  std::vector<v1::Window> windows;
  std::string observed, deleted;
  std::vector<std::string> request_ids;
  size_t unavailable = 0;
  uint64_t closes_window = 99;
  int looks = 0, embedding_looks = 0;  // an embedding window ends after so many
  std::string becomes = "measured";
};

v1::Window MakeWindow(uint64_t number, double effect) {
  v1::Window window;
  window.set_stream("live");
  window.set_number(number);
  window.mutable_closed()->set_seconds(1'700'000'000 + static_cast<int64_t>(number) * 3600);
  window.set_dataset("live@" + std::to_string(number));
  window.set_examples(500);
  window.set_state("measured");
  window.set_profile("docs@3");
  const bool drifted = effect >= 0.6;
  window.set_drifted(drifted);
  window.set_alarm(drifted && number >= 4);
  window.set_reason(drifted ? "drifted by AUC" : "no drift");
  v1::DetectorResult* result = window.add_detectors();
  result->set_detector("domain_classifier");
  result->set_feature("embedding");
  result->set_adjusted_p(drifted ? 1e-6 : 0.4);
  result->set_effect(effect);
  result->set_effect_name("AUC");
  result->set_effect_min(0.6);
  result->set_drifted(drifted);
  result->set_level(0.007);
  if (drifted) {
    v1::NewCluster* cluster = window.add_new_examples();
    cluster->set_examples(120);
    cluster->set_distance(3.25);
    cluster->add_words("kubernetes");
    cluster->add_samples("How do I\nrestart a pod?");
  }
  return window;
}

class DriftCliTest : public ::testing::Test {
 protected:
  DriftCliTest() {
    drift_.stream.mutable_spec()->set_name("live");
    drift_.stream.mutable_spec()->set_model("docs@champion");
    drift_.stream.set_state("alarm");
    drift_.stream.set_reason("alarm: 2 windows in a row drifted");
    drift_.stream.set_windows(5);
    drift_.stream.mutable_alarm_since()->set_seconds(1'700'000'000);
    const double effects[] = {0.51, 0.52, 0.71, 0.8, 0.82};
    for (uint64_t i = 0; i < 5; ++i) drift_.windows.push_back(MakeWindow(i + 1, effects[i]));
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&drift_);
    server_ = builder.BuildAndStart();
    cli_.SetEnv("ATTUNE_ADDRESS", "127.0.0.1:" + std::to_string(port));
  }

  FakeDrift drift_;
  std::unique_ptr<grpc::Server> server_;
  CliRunner cli_;
  TemporaryFolder folder_;
};

TEST_F(DriftCliTest, ApplySendsTheSpecWithItsDefaultsAndAbsoluteFolders) {
  auto file = folder_.Write("live.yaml", "name: live\nmodel: docs@champion\nfolders: [rows]\n");
  ASSERT_EQ(cli_.Run({"drift", "apply", file, "-o", "json"}), kExitOk) << cli_.err();
  json stream = json::parse(cli_.out());
  EXPECT_EQ(stream["spec"]["window"]["examples"], 500);
  EXPECT_EQ(stream["spec"]["folders"][0], (folder_.path() / "rows").string());
  drift_.stream.add_missing("there is no model 'docs@champion'");
  ASSERT_EQ(cli_.Run({"drift", "apply", file}), kExitOk);
  EXPECT_THAT(cli_.err(), HasSubstr("warning: there is no model 'docs@champion'"));
  file = folder_.Write("bad.yaml", "name: live\nmodel: m\nwindow: {example: 3}\n");
  EXPECT_EQ(cli_.Run({"drift", "apply", file}), kExitUsage);
  EXPECT_THAT(cli_.err(), AllOf(HasSubstr("bad.yaml:3:10"), HasSubstr("did you mean 'examples'")));
  EXPECT_EQ(cli_.Run({"drift", "apply", folder_.path().string() + "/absent"}), kExitNotFound);
}

TEST_F(DriftCliTest, ObserveSendsFilesAndReportsWhatWasRejected) {
  auto one = folder_.Write("a.jsonl", "{\"text\": \"a\"}\n");
  auto other = folder_.Write("b.jsonl", "{\"text\": \"b\"}\n");
  drift_.unavailable = 1;
  ASSERT_EQ(cli_.Run({"drift", "observe", "live", one, other}), kExitOk) << cli_.err();
  EXPECT_EQ(drift_.observed, "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  ASSERT_EQ(drift_.request_ids.size(), 2u);
  EXPECT_EQ(drift_.request_ids[0], drift_.request_ids[1]);  // the same request again
  EXPECT_THAT(cli_.out(), HasSubstr("3 rows taken"));
  EXPECT_THAT(cli_.err(), HasSubstr("a.jsonl:4: no JSON"));
  ASSERT_EQ(cli_.Run({"drift", "observe", "live", "-", "-o", "json"}, "{\"text\": \"c\"}\n"),
            kExitOk);
  EXPECT_EQ(drift_.observed, "{\"text\": \"c\"}\n");
  EXPECT_EQ(json::parse(cli_.out())["waiting"], 7);
  EXPECT_EQ(cli_.Run({"drift", "observe", "live", "absent.jsonl"}), kExitNotFound);
}

TEST_F(DriftCliTest, ShowPlotsTheHistoryAndNamesWhatIsNew) {
  ASSERT_EQ(cli_.Run({"drift", "show", "live"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("embedding (domain_classifier): AUC by window"));
  EXPECT_THAT(cli_.out(), HasSubstr("●"));  // windows 4 and 5 are alarms
  EXPECT_THAT(cli_.out(), HasSubstr("Window 5 against docs@3"));
  EXPECT_THAT(cli_.out(), HasSubstr("0.82"));
  EXPECT_THAT(cli_.out(), HasSubstr("New: 120 examples"));
  EXPECT_THAT(cli_.out(), HasSubstr("kubernetes"));
  EXPECT_THAT(cli_.out(), HasSubstr("How do I restart a pod?"));
  EXPECT_EQ(cli_.Run({"drift", "show", "absent"}), kExitNotFound);
}

TEST_F(DriftCliTest, ShowHasTheLevelOfEachDetector) {
  v1::DetectorResult* quality = drift_.windows[4].add_detectors();
  quality->set_detector("quality");
  quality->set_feature("loss");
  quality->set_adjusted_p(0.5);
  quality->set_level(0.00125);
  ASSERT_EQ(cli_.Run({"drift", "show", "live"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("LEVEL"));
  EXPECT_THAT(cli_.out(), ContainsRegex("domain_classifier .* 0\\.007 "));
  EXPECT_THAT(cli_.out(), ContainsRegex("quality .* 0\\.00125 "));
}

TEST_F(DriftCliTest, ShowSaysWhatIsNotComparedAndWhatALossIsOf) {
  drift_.windows[4].add_not_compared("loss, entropy: the reference has 12 validation examples");
  v1::LabelledLoss* loss = drift_.windows[4].mutable_labelled_loss();
  loss->set_examples(80);
  loss->set_mean(2.5);
  loss->set_first_examples(60);
  loss->set_first_mean(2.25);
  loss->set_p_value(0.01);
  ASSERT_EQ(cli_.Run({"drift", "show", "live"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(),
              AllOf(HasSubstr("not compared: loss, entropy: the reference has 12"),
                    HasSubstr("2.5 nats a token of the whole text of 80 examples with an answer; "
                              "in the model's first windows 2.25 of 60")));
}

TEST_F(DriftCliTest, ShowAsJsonHasTheWindowsAskedFor) {
  ASSERT_EQ(cli_.Run({"drift", "show", "live", "--windows", "3", "-o", "json"}), kExitOk);
  json stream = json::parse(cli_.out());
  EXPECT_EQ(stream["state"], "alarm");
  ASSERT_EQ(stream["history"].size(), 3u);  // two pages
  EXPECT_EQ(stream["history"][0]["number"], 3);
  EXPECT_EQ(stream["history"][2]["detectors"][0]["effect"], 0.82);
}

TEST_F(DriftCliTest, ShowPrintsASpecThatCanBeAppliedAgain) {
  spec::FillDefaults(drift_.stream.mutable_spec());
  const std::string applied = drift_.stream.spec().SerializeAsString();
  ASSERT_EQ(cli_.Run({"drift", "show", "live", "--spec"}), kExitOk) << cli_.err();
  auto file = folder_.Write("again.yaml", cli_.out());
  ASSERT_EQ(cli_.Run({"drift", "apply", file}), kExitOk) << cli_.err();
  EXPECT_EQ(drift_.stream.spec().SerializeAsString(), applied);
}

TEST_F(DriftCliTest, ExplainHasEveryKey) {
  ASSERT_EQ(cli_.Run({"drift", "explain"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), AllOf(HasSubstr("| `alarm.vocabulary` | number | 0.05 |"),
                                HasSubstr("| `model` | NAME@ALIAS | required |")));
}

TEST_F(DriftCliTest, AStreamWithoutWindowsIsShownWithoutPlots) {
  drift_.windows.clear();
  drift_.stream.set_windows(0);
  ASSERT_EQ(cli_.Run({"drift", "show", "live"}), kExitOk);
  EXPECT_THAT(cli_.out(), AllOf(HasSubstr("docs@champion"), Not(HasSubstr("WINDOW"))));
}

TEST_F(DriftCliTest, WhatWasRejectedAndWhatIsWrongAreShown) {
  drift_.stream.set_observed(70);
  drift_.stream.set_rejected(23);
  drift_.stream.set_rejected_last("2 rows: a.jsonl:4: no JSON");
  drift_.stream.mutable_rejected_at()->set_seconds(1'700'000'000);
  drift_.stream.set_problem("there is no folder /srv/answers");
  ASSERT_EQ(cli_.Run({"drift", "show", "live"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("there is no folder /srv/answers"));
  EXPECT_THAT(cli_.out(),
              AllOf(HasSubstr("23 rows, at "), HasSubstr(" 2 rows: a.jsonl:4: no JSON")));
  ASSERT_EQ(cli_.Run({"drift", "list"}), kExitOk);
  EXPECT_THAT(cli_.out(), AllOf(HasSubstr("REJECTED"), HasSubstr("23")));
  EXPECT_THAT(cli_.out(), HasSubstr("there is no folder /srv/answers"));
}

TEST_F(DriftCliTest, ListCloseDelete) {
  ASSERT_EQ(cli_.Run({"drift", "list"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("alarm for"));
  ASSERT_EQ(cli_.Run({"drift", "list", "-o", "name"}), kExitOk);
  EXPECT_EQ(cli_.out(), "live\n");
  ASSERT_EQ(cli_.Run({"drift", "close", "live", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out())["windows"], 99);
  ASSERT_EQ(cli_.Run({"drift", "delete", "live"}), kExitOk);
  EXPECT_EQ(drift_.deleted, "live");
}

TEST_F(DriftCliTest, CloseWaitsUntilTheWindowIsMeasured) {
  drift_.closes_window = 5;
  drift_.windows[4].set_state("embedding");
  drift_.windows[4].set_job_id("job-7");
  drift_.embedding_looks = 2;
  ASSERT_EQ(cli_.Run({"drift", "close", "live", "--wait", "-o", "json"}), kExitOk) << cli_.err();
  EXPECT_EQ(drift_.looks, 3);
  EXPECT_THAT(cli_.err(), HasSubstr("window 5 of live is embedded by job-7"));
  json stream = json::parse(cli_.out());
  EXPECT_EQ(stream["state"], "alarm");
  ASSERT_EQ(stream["history"].size(), 1u);
  EXPECT_EQ(stream["history"][0]["number"], 5);
  EXPECT_EQ(stream["history"][0]["state"], "measured");
}

TEST_F(DriftCliTest, AnExcludedWindowIsShownAsSuchUntilItIsIncluded) {
  ASSERT_EQ(cli_.Run({"drift", "exclude", "live", "4", "--reason", "poisoned"}), kExitOk);
  EXPECT_EQ(cli_.out(), "window 4 of live is excluded from training: poisoned (by user:ann)\n");
  ASSERT_EQ(cli_.Run({"drift", "show", "live"}), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("alarm, excluded"));
  ASSERT_EQ(cli_.Run({"drift", "show", "live", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out())["history"][3]["excluded"], true);
  ASSERT_EQ(cli_.Run({"drift", "include", "live", "4", "-o", "json"}), kExitOk);
  EXPECT_EQ(json::parse(cli_.out())["number"], 4);
  EXPECT_EQ(cli_.Run({"drift", "exclude", "live", "9"}), kExitNotFound);
  EXPECT_EQ(cli_.Run({"drift", "exclude", "live", "four"}), kExitUsage);
}

TEST_F(DriftCliTest, CloseFailsWithTheWindowItWaitedFor) {
  drift_.closes_window = 5;
  drift_.windows[4].set_state("embedding");
  drift_.windows[4].set_reason("the EMBED job job-7 failed: out of memory");
  drift_.becomes = "failed";
  EXPECT_EQ(cli_.Run({"drift", "close", "live", "--wait"}), kExitFailed);
  EXPECT_THAT(cli_.err(), HasSubstr("window 5 of live failed: the EMBED job job-7 failed: out of"));
  drift_.windows[4].set_state("unmeasured");
  drift_.windows[4].set_reason("4 distinct examples");
  EXPECT_EQ(cli_.Run({"drift", "close", "live", "--wait"}), kExitOk);
  EXPECT_THAT(cli_.err(), HasSubstr("window 5 of live unmeasured: 4 distinct examples"));
}

TEST_F(DriftCliTest, CloseGivesUpWaitingAtItsLimitAndOnInterrupt) {
  drift_.closes_window = 6;  // no data set version yet
  EXPECT_EQ(cli_.Run({"drift", "close", "live", "--wait", "--wait-limit", "0s"}), kExitUnavailable);
  EXPECT_THAT(cli_.err(), HasSubstr("after 0s window 6 of live becomes a data set"));
  cli_.interrupted() = true;
  EXPECT_EQ(cli_.Run({"drift", "close", "live", "--wait"}), kExitInterrupted);
  EXPECT_THAT(cli_.err(), HasSubstr("attune drift show live"));
  drift_.closes_window = 0;
  EXPECT_EQ(cli_.Run({"drift", "close", "live", "--wait"}), kExitConflict);
}

}  // namespace
}  // namespace attune::cli
