#include "worker/engine/formats/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "common/base/files.h"
#include "common/safetensors/safetensors.h"
#include "tests/unit/formats/fixtures.h"
#include "worker/engine/formats/convert.h"
#include "worker/engine/formats/json.h"

namespace attune::engine {
namespace {

using ::testing::HasSubstr;

void WriteOne(const std::filesystem::path& path, const std::string& name, float value) {
  ASSERT_TRUE(WriteSafetensors(path, {{name, "F32", {1}, &value, sizeof value}}).ok());
}

TEST(Half, EveryValueIsExact) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint32_t exponent = bits >> 10 & 31, fraction = bits & 1023;
    if (exponent == 31 && fraction != 0) {
      EXPECT_TRUE(std::isnan(HalfToFloat(static_cast<uint16_t>(bits))));
      continue;
    }
    double value = exponent == 31  ? INFINITY
                   : exponent == 0 ? std::ldexp(fraction, -24)
                                   : std::ldexp(1024 + fraction, static_cast<int>(exponent) - 25);
    if (bits & 0x8000) value = -value;
    ASSERT_EQ(HalfToFloat(static_cast<uint16_t>(bits)), static_cast<float>(value)) << bits;
    ASSERT_EQ(std::signbit(HalfToFloat(static_cast<uint16_t>(bits))), bits >= 0x8000) << bits;
  }
}

TEST(OpenWeights, ReadsShards) {
  TemporaryFolder folder;
  WriteOne(folder.path() / "model-00001-of-00002.safetensors", "a", 1);
  WriteOne(folder.path() / "model-00002-of-00002.safetensors", "b", 2);
  folder.Write("model.safetensors.index.json",
               R"({"metadata":{"total_size":8},"weight_map":{
                   "a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}})");
  auto source = OpenWeights(folder.path());
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  EXPECT_EQ((*source)->tensors().size(), 2u);
  EXPECT_EQ(Read(**source, "b"), std::vector<float>{2});
}

int64_t ResidentFileBytes() {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("RssFile:")) return std::atoll(line.c_str() + 8) * 1024;
  }
  return 0;
}

// Else a model would be in memory twice while it is loaded.
TEST(OpenWeights, WhatWasReadDoesNotStayResident) {
  TemporaryFolder folder;
  constexpr int64_t kElements = 4 << 20;
  std::vector<float> values(kElements, 1.5f);
  ASSERT_TRUE(WriteSafetensors(folder.path() / "model.safetensors",
                               {{"a", "F32", {kElements}, values.data(), kElements * 4},
                                {"b", "F32", {kElements}, values.data(), kElements * 4}})
                  .ok());
  const auto source = OpenWeights(folder.path());
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  const int64_t before = ResidentFileBytes();
  for (const std::string name : {"a", "b", "a"}) {
    values.assign(kElements, 0);
    ASSERT_TRUE((*source)->ReadFloat(name, values).ok());
    EXPECT_EQ(values[kElements - 1], 1.5f);
  }
  EXPECT_LT(ResidentFileBytes() - before, kElements * 4 / 2);
}

TEST(OpenWeights, RefusesWrongIndex) {
  TemporaryFolder folder;
  WriteOne(folder.path() / "one.safetensors", "a", 1);
  auto error = [&](std::string_view index) {
    return OpenWeights(folder.Write("model.safetensors.index.json", index)).status().message();
  };
  EXPECT_THAT(error(R"({"weight_map":{"b":"one.safetensors"}})"), HasSubstr("\"b\" is not in"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"../one.safetensors"}})"), HasSubstr("same folder"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"/etc/passwd"}})"), HasSubstr("same folder"));
  EXPECT_THAT(error(R"({"weight_map":{"a":".."}})"), HasSubstr("same folder"));
  EXPECT_THAT(error(R"({"weight_map":{"a":1}})"), HasSubstr("same folder"));
  EXPECT_THAT(error(R"({"weight_map":[]})"), HasSubstr("weight_map"));
  EXPECT_THAT(error(R"([])"), HasSubstr("weight_map"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"one.safetensors","a":"one.safetensors"}})"),
              HasSubstr("twice"));
  EXPECT_THAT(error(R"({"weight_map":{"a":"two.safetensors"}})"), HasSubstr("two.safetensors"));
}

TEST(OpenWeights, FindsTheFileOfAFolder) {
  TemporaryFolder folder;
  EXPECT_EQ(OpenWeights(folder.path()).status().code(), StatusCode::kNotFound);
  folder.Write("pytorch_model.bin", "x");
  EXPECT_THAT(OpenWeights(folder.path()).status().message(), HasSubstr("safe_serialization"));
  std::filesystem::copy(Fixture("llama_tied.gguf"), folder.path() / "a.gguf");
  auto gguf = OpenWeights(folder.path());
  ASSERT_TRUE(gguf.ok()) << gguf.status().ToString();
  EXPECT_TRUE((*gguf)->tensors().contains("model.embed_tokens.weight"));
  std::filesystem::copy(Fixture("llama_tied.gguf"), folder.path() / "b.gguf");
  EXPECT_THAT(OpenWeights(folder.path()).status().message(), HasSubstr("several GGUF files"));
  WriteOne(folder.path() / "adapter_model.safetensors", "adapter", 1);
  EXPECT_TRUE((*OpenWeights(folder.path()))->tensors().contains("adapter"));
  WriteOne(folder.path() / "model.safetensors", "whole", 1);
  EXPECT_TRUE((*OpenWeights(folder.path()))->tensors().contains("whole"));
  EXPECT_EQ(OpenWeights(folder.path() / "missing").status().code(), StatusCode::kNotFound);
}

TEST(ReadModelConfig, ReadsAndChecksConfigJson) {
  TemporaryFolder folder;
  EXPECT_EQ(ReadModelConfig(folder.path()).status().code(), StatusCode::kNotFound);
  folder.Write("config.json", R"({"model_type": "llama"})");
  EXPECT_EQ(*ReadModelConfig(folder.path()), R"({"model_type": "llama"})");
  folder.Write("config.json", R"({"model_type": )");
  EXPECT_THAT(ReadModelConfig(folder.path()).status().message(),
              HasSubstr("config.json: not valid JSON"));
  folder.Write("config.json", R"([1])");
  EXPECT_THAT(ReadModelConfig(folder.path()).status().message(), HasSubstr("not a JSON object"));
  folder.Write("config.json", R"({"a": 1, "a": 2})");
  EXPECT_THAT(ReadModelConfig(folder.path()).status().message(), HasSubstr("twice"));
}

TEST(ParseJson, ChecksKeysPerObject) {
  EXPECT_TRUE(ParseJson(R"({"a":{"b":1},"c":[{"b":1},{"b":2}],"b":3})").ok());
  EXPECT_FALSE(ParseJson(R"({"c":[{"b":1,"b":2}]})").ok());
  EXPECT_FALSE(ParseJson("\"\xff\"").ok());
}

}  // namespace
}  // namespace attune::engine
