#include "common/gguf/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/formats/gguf_builder.h"

namespace attune::gguf {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint32_t kF32 = 0, kQ8_0 = 8;

std::string ErrorOf(const Bytes& bytes) {
  auto file = File::Parse(bytes.span());
  if (file.ok()) return "";
  EXPECT_EQ(file.status().code(), StatusCode::kInvalidArgument);
  return file.status().message();
}

Bytes Good() {
  Bytes bytes;
  bytes.Header(2, 5);
  bytes.Key("a.uint", ValueType::kUint32).Add<uint32_t>(7);
  bytes.Key("a.int", ValueType::kInt8).Add<int8_t>(-3);
  bytes.Key("a.float", ValueType::kFloat32).Add<float>(0.5f);
  bytes.Key("a.text", ValueType::kString).String("hello");
  bytes.Key("a.list", ValueType::kArray).Add<uint32_t>(8).Add<uint64_t>(2).String("x").String("yz");
  bytes.TensorInfo("first", {4, 2}, kF32, 0);
  bytes.TensorInfo("second", {32}, kQ8_0, 32);
  bytes.Pad().Zeros(32).Zeros(34);
  return bytes;
}

TEST(Gguf, ReadsMetadataAndTensors) {
  Bytes bytes = Good();
  auto opened = File::Parse(bytes.span());
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  const File& file = **opened;
  EXPECT_EQ(*file.GetUint("a.uint"), 7u);
  EXPECT_EQ(*file.GetFloat("a.int"), -3.0);
  EXPECT_EQ(*file.GetFloat("a.float"), 0.5);
  EXPECT_EQ(*file.GetString("a.text"), "hello");
  EXPECT_THAT(*file.GetStrings("a.list"), ElementsAre("x", "yz"));
  ASSERT_NE(file.FindTensor("first"), nullptr);
  EXPECT_THAT(file.FindTensor("first")->dimensions, ElementsAre(4u, 2u));
  EXPECT_EQ(file.FindTensor("second")->data.size(), 34u);
}

TEST(Gguf, SaysWhyAValueIsNotThere) {
  Bytes bytes = Good();
  auto file = File::Parse(bytes.span());
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->GetUint("b").status().code(), StatusCode::kNotFound);
  EXPECT_THAT((*file)->GetUint("a.text").status().message(), HasSubstr("has type string"));
  EXPECT_THAT((*file)->GetUint("a.int").status().message(), HasSubstr("-3"));
  EXPECT_FALSE((*file)->GetInts("a.list").ok());
}

TEST(Gguf, RefusesEveryTruncation) {
  std::string whole = Good().text();
  for (size_t length = 0; length < whole.size(); ++length) {
    std::string part = whole.substr(0, length);
    auto file = File::Parse(std::as_bytes(std::span(part)));
    EXPECT_FALSE(file.ok()) << length << " of " << whole.size() << " bytes were accepted";
  }
}

TEST(Gguf, RefusesOtherFilesAndVersions) {
  EXPECT_THAT(ErrorOf(Bytes().Zeros(100)), HasSubstr("not a GGUF file"));
  EXPECT_THAT(ErrorOf(Bytes().Header(0, 0, 1)), HasSubstr("version 1"));
  EXPECT_THAT(ErrorOf(Bytes().Header(0, 0, 4)), HasSubstr("version 4"));
  EXPECT_THAT(ErrorOf(Bytes().Header(0, 0, 0x03000000)), HasSubstr("big-endian"));
  EXPECT_EQ(ErrorOf(Bytes().Header(0, 0, 2)), "");
}

TEST(Gguf, RefusesAbsurdCounts) {
  EXPECT_THAT(ErrorOf(Bytes().Header(0, ~0ull)), HasSubstr("metadata count"));
  EXPECT_THAT(ErrorOf(Bytes().Header(~0ull, 0)), HasSubstr("tensor count"));
  Bytes array;
  array.Header(0, 1).Key("a", ValueType::kArray).Add<uint32_t>(0).Add<uint64_t>(~0ull);
  EXPECT_THAT(ErrorOf(array), HasSubstr("truncated"));
  Bytes text;
  text.Header(0, 1).Key("a", ValueType::kString).Add<uint64_t>(~0ull);
  EXPECT_THAT(ErrorOf(text), HasSubstr("truncated"));
}

TEST(Gguf, RefusesBadMetadata) {
  Bytes twice;
  twice.Header(0, 2);
  for (int i = 0; i < 2; ++i) twice.Key("a", ValueType::kUint8).Add<uint8_t>(1);
  EXPECT_THAT(ErrorOf(twice), HasSubstr("\"a\" is there twice"));
  Bytes type;
  type.Header(0, 1).Key("a", static_cast<ValueType>(13)).Add<uint64_t>(1);
  EXPECT_THAT(ErrorOf(type), HasSubstr("unknown value type 13"));
  Bytes boolean;
  boolean.Header(0, 1).Key("a", ValueType::kBool).Add<uint8_t>(2);
  EXPECT_THAT(ErrorOf(boolean), HasSubstr("bool is 2"));
  Bytes nested;
  nested.Header(0, 1).Key("a", ValueType::kArray);
  for (int i = 0; i < 10; ++i) nested.Add<uint32_t>(9).Add<uint64_t>(1);
  EXPECT_THAT(ErrorOf(nested.Zeros(64)), HasSubstr("nested deeper"));
}

TEST(Gguf, RefusesBadAlignment) {
  for (uint32_t alignment : {0u, 4u, 33u, 1u << 30}) {
    Bytes bytes;
    bytes.Header(0, 1).Key("general.alignment", ValueType::kUint32).Add<uint32_t>(alignment);
    EXPECT_THAT(ErrorOf(bytes), HasSubstr("general.alignment")) << alignment;
  }
}

TEST(Gguf, HonoursAlignment) {
  Bytes bytes;
  bytes.Header(1, 1).Key("general.alignment", ValueType::kUint32).Add<uint32_t>(256);
  bytes.TensorInfo("t", {2}, kF32, 0).Pad(256).Add<float>(1).Add<float>(2);
  auto file = File::Parse(bytes.span());
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  float second = 0;
  std::memcpy(&second, (*file)->FindTensor("t")->data.data() + 4, 4);
  EXPECT_EQ(second, 2);
}

struct BadTensor {
  std::initializer_list<uint64_t> dimensions;
  uint32_t type;
  uint64_t offset;
  const char* error;
};

TEST(Gguf, RefusesBadTensors) {
  const BadTensor cases[] = {
      {{4}, kF32, 8, "not aligned"},
      {{4}, kF32, ~31ull, "beyond the file"},
      {{1ull << 20}, kF32, 0, "beyond the file"},
      {{1ull << 62, 4}, kF32, 0, "more elements"},
      {{1ull << 62}, kF32, 0, "larger than any file"},
      {{0}, kF32, 0, "dimension of 0"},
      {{1, 1, 1, 1, 1}, kF32, 0, "5 dimensions"},
      {{33}, kQ8_0, 0, "no multiple"},
      {{4}, 4, 0, "unknown type 4"},
  };
  for (const BadTensor& bad : cases) {
    Bytes bytes;
    bytes.Header(1, 0).TensorInfo("t", bad.dimensions, bad.type, bad.offset).Pad().Zeros(64);
    EXPECT_THAT(ErrorOf(bytes), HasSubstr(bad.error));
  }
}

TEST(Gguf, RefusesOverlapAndDuplicates) {
  Bytes overlap;
  overlap.Header(2, 0).TensorInfo("a", {16}, kF32, 0).TensorInfo("b", {4}, kF32, 32);
  EXPECT_THAT(ErrorOf(overlap.Pad().Zeros(64)), HasSubstr("overlap"));
  Bytes twice;
  twice.Header(2, 0).TensorInfo("a", {4}, kF32, 0).TensorInfo("a", {4}, kF32, 32);
  EXPECT_THAT(ErrorOf(twice.Pad().Zeros(64)), HasSubstr("twice"));
}

TEST(Gguf, KeepsControlCharactersOutOfMessages) {
  Bytes bytes;
  bytes.Header(1, 0).TensorInfo("\x1b[31m\n", {0}, kF32, 0);
  std::string error = ErrorOf(bytes.Zeros(64));
  EXPECT_EQ(error.find('\x1b'), std::string::npos);
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

TEST(Gguf, NamesTheMissingFile) {
  auto file = File::Open("/nonexistent/model.gguf");
  EXPECT_EQ(file.status().code(), StatusCode::kNotFound);
  EXPECT_THAT(file.status().message(), HasSubstr("/nonexistent/model.gguf"));
}

}  // namespace
}  // namespace attune::gguf
