#include "common/spec/json.h"

#include <gtest/gtest.h>

#include "attune/v1/jobs.pb.h"

namespace attune::spec {
namespace {

TEST(ToJson, PrintsDefaultsNumbersEnumsMapsAndTimes) {
  v1::Job job;
  job.set_id("job-1");
  job.set_state(v1::Job::RUNNING);
  job.set_sequence(9007199254740993);
  (*job.mutable_metrics())["loss"] = 2.5;
  (*job.mutable_metrics())["accuracy"] = 0.5;
  job.mutable_created()->set_seconds(1700000000);
  job.mutable_created()->set_nanos(123456789);
  auto json = ToJson(job);
  EXPECT_EQ(json["state"], "RUNNING");
  EXPECT_EQ(json["step"], 0);
  EXPECT_EQ(json["model"], "");
  EXPECT_EQ(json["sequence"].dump(), "9007199254740993");
  EXPECT_EQ(json["metrics"].dump(), R"({"accuracy":0.5,"loss":2.5})");
  EXPECT_EQ(json["created"], "2023-11-14T22:13:20.123Z");
  EXPECT_FALSE(json.contains("started"));
  EXPECT_TRUE(json["placements"].empty());
}

TEST(ToJson, LeavesUnsetOptionalFieldsOut) {
  v1::MetricPoint point;
  point.set_step(3);
  point.set_loss(0);
  EXPECT_EQ(ToJsonText(point), R"({"step":3,"loss":0.0})");
}

TEST(ToJson, NonFiniteNumbersAndBadBytesStillMakeValidJson) {
  v1::Job job;
  (*job.mutable_metrics())["loss"] = NAN;
  auto json = nlohmann::json::parse(ToJsonText(job));
  EXPECT_EQ(json["metrics"]["loss"], "NaN");
  nlohmann::ordered_json bad = "\xff";
  EXPECT_TRUE(nlohmann::json::accept(JsonText(bad)));
}

}  // namespace
}  // namespace attune::spec
