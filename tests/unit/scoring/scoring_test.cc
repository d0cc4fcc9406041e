// Scores against the packages that define them (tests/parity/scoring/make_fixtures.py).

#include "common/scoring/scoring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace attune::scoring {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

json Expected() {
  std::ifstream stream("tests/fixtures/scoring/expected.json");
  return json::parse(stream);
}

TEST(Overlap, IsThatOfSquadAndRougeScore) {
  const json pairs = Expected()["pairs"];
  ASSERT_GE(pairs.size(), 90u);
  for (const json& pair : pairs) {
    SCOPED_TRACE(pair.dump());
    const std::string answer = pair["answer"], reference = pair["reference"];
    EXPECT_DOUBLE_EQ(ExactMatch(answer, reference), pair["exact_match"].get<double>());
    EXPECT_NEAR(TokenF1(answer, reference), pair["token_f1"].get<double>(), 1e-12);
    EXPECT_NEAR(RougeL(answer, reference), pair["rouge_l"].get<double>(), 1e-12);
  }
}

TEST(Overlap, BytesThatAreNoUtf8DoNotMatter) {
  EXPECT_EQ(ExactMatch("\xff\xfe", "\xff\xfe"), 1);
  EXPECT_EQ(TokenF1("a cat\xc3", "cat"), 0);
  EXPECT_EQ(RougeL("cat\xc3", "cat"), 1);
}

TEST(Trimmed, TakesUnicodeWhiteSpaceAway) {
  EXPECT_EQ(Trimmed("\u00a0\n a b\u3000\t"), "a b");
  EXPECT_EQ(Trimmed(" \n"), "");
  EXPECT_EQ(Trimmed(" \xff "), "\xff");
}

TEST(RegexValidator, TheWholeAnswerMustMatch) {
  auto validator = MakeRegexValidator("[0-9]+|none");
  ASSERT_TRUE(validator.ok()) << validator.status().ToString();
  EXPECT_EQ((*validator)->Score("42"), 1);
  EXPECT_EQ((*validator)->Score(" 42\n"), 1);
  EXPECT_EQ((*validator)->Score("none"), 1);
  EXPECT_EQ((*validator)->Score("42 or so"), 0);
  EXPECT_EQ((*validator)->Score(""), 0);
}

TEST(SearchValidator, FindsThePatternAnywhere) {
  auto validator = MakeSearchValidator("(?i)sorry");
  ASSERT_TRUE(validator.ok());
  EXPECT_EQ((*validator)->Score("I am Sorry, no"), 1);
  EXPECT_EQ((*validator)->Score("yes"), 0);
}

// What would take a backtracking engine longer than anyone waits.
TEST(RegexValidator, TakesLinearTime) {
  auto validator = MakeRegexValidator("(a+)+b");
  ASSERT_TRUE(validator.ok());
  EXPECT_EQ((*validator)->Score(std::string(100'000, 'a')), 0);
}

TEST(RegexValidator, APatternThatIsNoneIsInvalid) {
  for (const std::string& pattern :
       {std::string("[a"), std::string("(?=a)"), std::string(kPatternBytesMax + 1, 'a')}) {
    auto validator = MakeRegexValidator(pattern);
    ASSERT_FALSE(validator.ok());
    EXPECT_EQ(validator.status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(MakeRegexValidator("[a").status().message(), HasSubstr("[a"));
}

TEST(JsonSchemaValidator, AcceptsWhatJsonschemaAccepts) {
  const json cases = Expected()["schemas"];
  ASSERT_GE(cases.size(), 120u);
  for (const json& one : cases) {
    SCOPED_TRACE(one.dump());
    auto validator = MakeJsonSchemaValidator(one["schema"]);
    ASSERT_TRUE(validator.ok()) << validator.status().ToString();
    EXPECT_EQ((*validator)->Score(one["document"].get<std::string>()),
              one["valid"].get<bool>() ? 1 : 0);
  }
}

TEST(JsonSchemaValidator, AnAnswerThatIsNoJsonIsNotValid) {
  auto validator = MakeJsonSchemaValidator("true");
  ASSERT_TRUE(validator.ok());
  EXPECT_EQ((*validator)->Score(" {\"a\": 1}\n"), 1);
  for (const char* answer :
       {"", "{", "{\"a\": 1} and more", "```json\n{}\n```", "nan", "\"\xff\""}) {
    EXPECT_EQ((*validator)->Score(answer), 0) << answer;
  }
}

TEST(JsonSchemaValidator, HasLimits) {
  auto validator = MakeJsonSchemaValidator("true");
  ASSERT_TRUE(validator.ok());
  EXPECT_EQ((*validator)->Score(std::string(64, '[') + std::string(64, ']')), 1);
  EXPECT_EQ((*validator)->Score(std::string(65, '[') + std::string(65, ']')), 0);
  EXPECT_EQ((*validator)->Score(std::string(1'000'000, '[')), 0);
  EXPECT_EQ((*validator)->Score("\"" + std::string(300 << 10, 'a') + "\""), 0);
  // Brackets in a string are no levels.
  EXPECT_EQ((*validator)->Score("\"\\\"" + std::string(100, '[') + "\""), 1);
}

// 2^40 ways through a small schema.
TEST(JsonSchemaValidator, GivesUpOnASchemaThatTakesTooLong) {
  json definitions;
  definitions["s0"] = {{"type", "string"}};
  for (int i = 1; i <= 40; ++i) {
    const json before = {{"$ref", "#/$defs/s" + std::to_string(i - 1)}};
    definitions["s" + std::to_string(i)] = {{"allOf", {before, before}}};
  }
  const json schema = {{"$defs", definitions}, {"not", {{"not", {{"$ref", "#/$defs/s40"}}}}}};
  auto validator = MakeJsonSchemaValidator(schema.dump());
  ASSERT_FALSE(validator.ok());  // the chain is too long
  EXPECT_THAT(validator.status().message(), HasSubstr("chain"));
  for (int i = 21; i <= 40; ++i) definitions.erase("s" + std::to_string(i));
  const json shorter = {{"$defs", definitions}, {"not", {{"not", {{"$ref", "#/$defs/s20"}}}}}};
  validator = MakeJsonSchemaValidator(shorter.dump());
  ASSERT_TRUE(validator.ok()) << validator.status().ToString();
  EXPECT_EQ((*validator)->Score("\"text\""), 0);
}

TEST(JsonSchemaValidator, ASchemaThatIsNoneIsInvalid) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "is not JSON"},
      {"1", "must be an object"},
      {R"({"requred": ["a"]})", "\"requred\" is not known"},
      {R"({"properties": {"a": {"type": "text"}}})", "#/properties/a/type"},
      {R"({"required": "a"})", "list of strings"},
      {R"({"minLength": -1})", "whole number"},
      {R"({"multipleOf": 0})", "above 0"},
      {R"({"allOf": []})", "not empty"},
      {R"({"pattern": "[a"})", "RE2"},
      {R"s({"patternProperties": {"(?=a)": true}})s", "RE2"},
      {R"({"$ref": "https://example.com/schema"})", "leads out of the schema"},
      {R"({"$ref": "#/nowhere"})", "nothing at"},
      {R"({"$ref": "#"})", "without an end"},
      {R"({"anyOf": [{"type": "null"}, {"$ref": "#"}]})", "without an end"},
      {R"({"unevaluatedProperties": false})", "not known"},
  };
  for (const auto& [schema, message] : cases) {
    auto validator = MakeJsonSchemaValidator(schema);
    ASSERT_FALSE(validator.ok()) << schema;
    EXPECT_EQ(validator.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(validator.status().message(), HasSubstr(message));
  }
}

}  // namespace
}  // namespace attune::scoring
