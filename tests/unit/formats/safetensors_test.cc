#include "common/safetensors/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/unit/formats/fixtures.h"
#include "worker/engine/formats/json.h"

namespace attune::engine {
namespace {

using ::testing::HasSubstr;

std::string FileOf(std::string header, size_t data_bytes) {
  uint64_t length = header.size();
  std::string out(reinterpret_cast<const char*>(&length), sizeof length);
  return out + header + std::string(data_bytes, '\0');
}

std::string ErrorOf(const std::string& bytes) {
  auto file = SafetensorsFile::Parse(std::as_bytes(std::span(bytes)));
  if (file.ok()) return "";
  EXPECT_EQ(file.status().code(), StatusCode::kInvalidArgument);
  return file.status().message();
}

TEST(Safetensors, ReadsWhatThePackageWrote) {
  auto file = SafetensorsFile::Open(Fixture("mixed.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_EQ((*file)->tensors().size(), 9u);
  EXPECT_EQ((*file)->metadata().at("format"), "pt");
  EXPECT_EQ((*file)->tensors().at("f64").shape, (std::vector<int64_t>{3, 5}));
  EXPECT_EQ((*file)->tensors().at("scalar").shape, std::vector<int64_t>());
}

TEST(Safetensors, ConvertsToFloatAsTorch) {
  auto actual = OpenWeights(Fixture("mixed.safetensors"));
  auto expected = OpenWeights(Fixture("mixed_float.safetensors"));
  ASSERT_TRUE(actual.ok() && expected.ok());
  for (const auto& [name, info] : (*expected)->tensors()) {
    EXPECT_EQ(Read(**actual, name), Read(**expected, name)) << name;
  }
  std::vector<float> four(4);
  EXPECT_THAT((*actual)->ReadFloat("i64", four).message(), HasSubstr("I64"));
  EXPECT_THAT((*actual)->ReadFloat("f32", four).message(), HasSubstr("15 elements, not 4"));
  EXPECT_EQ((*actual)->ReadFloat("nothing", four).code(), StatusCode::kNotFound);
}

TEST(Safetensors, WritesTheSameBytesAsThePackage) {
  auto file = SafetensorsFile::Open(Fixture("mixed.safetensors"));
  ASSERT_TRUE(file.ok());
  std::vector<TensorBytes> tensors;
  for (const auto& [name, tensor] : (*file)->tensors()) {
    tensors.push_back({name, tensor.dtype, tensor.shape, tensor.data.data(), tensor.data.size()});
  }
  TemporaryFolder folder;
  Status status = WriteSafetensors(folder.path() / "out.safetensors", tensors);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_EQ(*ReadFile(folder.path() / "out.safetensors"), *ReadFile(Fixture("mixed.safetensors")));
}

TEST(Safetensors, WriterRefusesWrongTensors) {
  TemporaryFolder folder;
  auto path = folder.path() / "out.safetensors";
  float value = 1;
  auto error = [&](std::vector<TensorBytes> tensors) {
    return WriteSafetensors(path, tensors).message();
  };
  EXPECT_THAT(error({{"a", "F32", {2}, &value, 4}}), HasSubstr("need 8"));
  EXPECT_THAT(error({{"a", "F31", {1}, &value, 4}}), HasSubstr("unknown dtype"));
  EXPECT_THAT(error({{"a", "F32", {1}, &value, 4}, {"a", "F32", {1}, &value, 4}}),
              HasSubstr("twice"));
  EXPECT_THAT(error({{"__metadata__", "F32", {1}, &value, 4}}), HasSubstr("__metadata__"));
  EXPECT_THAT(error({{"\xff", "F32", {1}, &value, 4}}), HasSubstr("UTF-8"));
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

struct Hostile {
  const char* header;
  size_t data_bytes;
  const char* error;
};

TEST(Safetensors, RefusesHostileHeaders) {
  const Hostile cases[] = {
      {R"([])", 0, "an array, not an object"},
      {R"({"a")", 0, "not JSON"},
      {R"({"a":1})", 0, "a number, not an object"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}x)", 4, "not JSON"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "need 8"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 4, "truncated"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "truncated or damaged"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "leave a hole"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 8, "belong to no tensor"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
           "b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       4, "overlap"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
           "a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "\"a\" is there twice"},
      {R"({"a":{"dtype":"F32","dtype":"F16","shape":[1],"data_offsets":[0,4]}})", 4, "twice"},
      {R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4, "unknown dtype"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "negative"},
      {R"({"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}})", 4, "fraction"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})", 4,
       "dimension"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
       "overflows"},
      {R"({"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}})", 4, "an array"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,4]}})", 4, "more than two"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "two data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "no data_offsets"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4, "unknown key"},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__ has a number"},
      {R"({"__metadata__":{"a":"1","a":"2"}})", 0, "twice"},
  };
  for (const Hostile& hostile : cases) {
    EXPECT_THAT(ErrorOf(FileOf(hostile.header, hostile.data_bytes)), HasSubstr(hostile.error))
        << hostile.header;
  }
}

TEST(Safetensors, RefusesHostileLengths) {
  EXPECT_THAT(ErrorOf("abc"), HasSubstr("only 3 bytes"));
  EXPECT_THAT(ErrorOf(std::string(8, '\xff')), HasSubstr("limit of 100000000"));
  EXPECT_THAT(ErrorOf(FileOf("{}", 0).substr(0, 9)), HasSubstr("ends inside its header"));
  EXPECT_EQ(ErrorOf(FileOf("{}   ", 0)), "");
}

TEST(Safetensors, SurvivesDeepNesting) {
  EXPECT_NE(ErrorOf(FileOf(std::string(5'000'000, '['), 0)), "");
  EXPECT_NE(ErrorOf(FileOf(R"({"a":{"shape":)" + std::string(5'000'000, '['), 0)), "");
  std::string deep;
  for (int i = 0; i < 1'000'000; ++i) deep += R"({"a":)";
  EXPECT_NE(ErrorOf(FileOf(deep, 0)), "");
  EXPECT_THAT(ParseJson(deep).status().message(), HasSubstr("nested deeper"));
}

TEST(Safetensors, RefusesEveryTruncation) {
  std::string whole = *ReadFile(Fixture("mixed.safetensors"));
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(ErrorOf(whole.substr(0, length)), "") << length;
  }
}

}  // namespace
}  // namespace attune::engine
