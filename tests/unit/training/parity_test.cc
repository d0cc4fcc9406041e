// That one update is the same however it is made, and that another one is told.

#include "worker/engine/parity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "tests/fixtures/tiny_llama.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine/parity/compare.h"

namespace attune::engine {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class Lines final : public Observer {
 public:
  void OnOutput(const std::string& line) override { lines.push_back(json::parse(line)); }
  StopRequest ShouldStop() override { return stop; }

  std::vector<json> lines;
  StopRequest stop = StopRequest::kNone;
};

class ParityTest : public ::testing::Test {
 protected:
  ParityTask Task() const {
    return {.folder = folder_.path() / "proof", .world_sizes = {1, 3}, .micro_batches = {5}};
  }

  TemporaryFolder folder_;
};

TEST_F(ParityTest, AnUpdateIsTheSameHoweverItIsMade) {
  Lines observer;
  const auto result = CheckParity(Task(), observer);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  ASSERT_EQ(result->rows.size(), 2u * 2 * 2 * 2);
  EXPECT_TRUE(result->ok());
  for (size_t i = 0; i < result->rows.size(); ++i) {
    const ParityRow& row = result->rows[i];
    const json& line = observer.lines.at(i);
    EXPECT_TRUE(row.ok()) << line;
    EXPECT_LE(row.gradient_difference, kParityTolerance) << line;
    EXPECT_LE(row.adamw_difference, kParityTolerance) << line;
    EXPECT_GT(row.loss, 1) << "the model is random";
    EXPECT_GT(row.grad_norm, 0.01);
    EXPECT_EQ(row.method, i < 8 ? "full" : "lora");
    EXPECT_EQ(row.reference, i % 8 == 0);
    EXPECT_EQ(line.at("row"), i + 1);
    EXPECT_EQ(line.at("rows"), 16);
    EXPECT_EQ(line.at("world_size"), row.world_size);
    EXPECT_EQ(line.at("ok"), true);
  }
  // All 48 examples in fives, on one rank and on three, and packed.
  EXPECT_EQ(result->rows[0].accumulation, 10);
  EXPECT_LT(result->rows[1].accumulation, 6);
  EXPECT_LT(result->rows[4].accumulation, 6);
  EXPECT_TRUE(result->rows[4].packing);
  // It is no comparison of equal bits: other sums have other last bits.
  double largest = 0;
  for (const ParityRow& row : result->rows) {
    largest = std::max(largest, row.gradient_difference);
  }
  EXPECT_GT(largest, 0);
}

TEST_F(ParityTest, TakesAModelOfOnesOwnForLora) {
  ASSERT_TRUE(attune::testing::WriteTinyLlama(folder_.path() / "mine").ok());
  ParityTask task = Task();
  task.model = folder_.path() / "mine";
  task.world_sizes = {1, 2};
  Lines observer;
  const auto result = CheckParity(task, observer);
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  ASSERT_EQ(result->rows.size(), 8u);
  EXPECT_TRUE(result->ok());
  for (const ParityRow& row : result->rows) EXPECT_EQ(row.method, "lora");
}

TEST_F(ParityTest, StopsWhenAsked) {
  Lines observer;
  observer.stop = StopRequest::kStop;
  const auto result = CheckParity(Task(), observer);
  EXPECT_EQ(result.status().code(), StatusCode::kCancelled) << result.status().ToString();
  EXPECT_TRUE(observer.lines.empty());
}

class CompareTest : public ::testing::Test {
 protected:
  // Two matrices that begin at 1 and 2, and moved by this much.
  std::shared_ptr<const SafetensorsFile> Weights(const std::string& name, float first,
                                                 float second) {
    const std::vector<float> a(6, 1 + first), b = {2, 2 + second};
    const auto path = folder_.path() / name;
    EXPECT_TRUE(WriteSafetensors(path, {{"a", "F32", {2, 3}, a.data(), a.size() * 4},
                                        {"b", "F32", {2}, b.data(), b.size() * 4}})
                    .ok());
    auto file = SafetensorsFile::Open(path);
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    return *file;
  }
  Updates Of(const std::string& name, float sgd, float adamw) {
    Updates updates{{.weights = Weights(name + "-sgd", sgd, -0.5f)},
                    {.weights = Weights(name + "-adamw", adamw, 0.001f)}};
    updates.sgd.report.loss = 4;
    updates.sgd.report.grad_norm = 2;
    return updates;
  }
  ParityRow Compared(const Updates& other) {
    ParityRow row;
    const Status status =
        Compare(*Weights("start", 0, 0), Of("reference", 0.25f, 0.001f), other, &row);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return row;
  }

  TemporaryFolder folder_;
};

TEST_F(CompareTest, EqualUpdatesAreTheSame) {
  const ParityRow row = Compared(Of("other", 0.25f, 0.001f));
  EXPECT_EQ(row.gradient_difference, 0);
  EXPECT_EQ(row.adamw_difference, 0);
  EXPECT_EQ(row.loss, 4);
  EXPECT_TRUE(row.ok());
}

TEST_F(CompareTest, AWrongGradientIsToldRelativeToTheLargestUpdate) {
  const ParityRow row = Compared(Of("other", 0.3f, 0.001f));
  EXPECT_NEAR(row.gradient_difference, 0.05 / 0.5, 1e-6);
  EXPECT_FALSE(row.ok());
}

TEST_F(CompareTest, AWrongWeightAfterAdamWIsTold) {
  const ParityRow row = Compared(Of("other", 0.25f, 0.00102f));
  EXPECT_EQ(row.gradient_difference, 0);
  EXPECT_NEAR(row.adamw_difference, 2e-5, 2e-7);
  EXPECT_FALSE(row.ok());
}

TEST_F(CompareTest, AnotherLossOrNormIsTold) {
  Updates other = Of("other", 0.25f, 0.001f);
  other.sgd.report.loss = 4.0001;
  EXPECT_NEAR(Compared(other).loss_difference, 2.5e-5, 1e-9);
  EXPECT_FALSE(Compared(other).ok());
  other.sgd.report.loss = 4;
  other.sgd.report.grad_norm = 2.0001;
  EXPECT_NEAR(Compared(other).grad_norm_difference, 5e-5, 1e-9);
  EXPECT_FALSE(Compared(other).ok());
}

TEST_F(CompareTest, WhatIsNoNumberIsNoProof) {
  const ParityRow row = Compared(Of("other", std::numeric_limits<float>::quiet_NaN(), 0.001f));
  EXPECT_TRUE(std::isinf(row.gradient_difference));
  EXPECT_FALSE(row.ok());
}

TEST_F(CompareTest, WeightsThatDoNotMoveAreNoProof) {
  const Updates still{{.weights = Weights("still-sgd", 0, 0)},
                      {.weights = Weights("still-adamw", 0, 0)}};
  ParityRow row;
  ASSERT_TRUE(Compare(*Weights("start", 0, 0), still, still, &row).ok());
  EXPECT_FALSE(row.ok());
}

TEST_F(CompareTest, OtherTensorsAreAnError) {
  const std::vector<float> a(6, 1);
  const auto path = folder_.path() / "less";
  ASSERT_TRUE(WriteSafetensors(path, {{"a", "F32", {2, 3}, a.data(), a.size() * 4}}).ok());
  const auto less = SafetensorsFile::Open(path);
  ASSERT_TRUE(less.ok());
  const auto whole = Weights("whole", 0, 0);
  EXPECT_THAT(DistanceOf(*whole, *whole, **less).status().message(),
              HasSubstr("lost the weights b"));
}

}  // namespace
}  // namespace attune::engine
