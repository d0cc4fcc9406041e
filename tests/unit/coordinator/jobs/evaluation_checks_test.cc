#include "coordinator/jobs/evaluation_checks.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

namespace attune::jobs {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

template <typename Message>
Message Parse(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

constexpr char kGood[] = R"(
  model: "m" dtype: "bfloat16" merge: true
  suites { name: "goal" dataset: "docs" split: "validation" slices: "language" slices: "length"
           metrics { name: "exact_match" } metrics { name: "regex" pattern: "[0-9]+" }
           metrics { name: "json_schema" schema: '{"type": "object"}' }
           metrics { name: "judge" judge: "length" } }
  suites { name: "kept" dataset: "docs@2" metrics { name: "accuracy" labels: "yes" labels: "no" }
           metrics { name: "macro_f1" labels: "yes" labels: "no" } }
  smoke { prompt: "Hello" must_match: "." must_not_match: "(?i)sorry" })";

TEST(CheckEvaluate, TakesWhatIsRight) {
  const Status status = CheckEvaluate(Parse<v1::EvaluateRequest>(kGood));
  EXPECT_TRUE(status.ok()) << status.ToString();
}

struct Case {
  const char* request;
  const char* field;
  const char* message;
};

TEST(CheckEvaluate, SaysWhatIsWrongAndWhere) {
  const std::string suite = R"(model: "m" suites { name: "goal" dataset: "docs" )";
  const Case cases[] = {
      {R"(suites { name: "goal" dataset: "docs" })", "model", "needs a model"},
      {R"(model: "m")", "suites", "nothing to measure"},
      {R"(model: "m" dtype: "int8" smoke { prompt: "a" })", "dtype", "int8"},
      {R"(model: "m" suites { dataset: "docs" })", "suites[0].name", "needs a name"},
      {R"(model: "m" suites { name: "goal" })", "suites[0].dataset", "needs a dataset"},
      {R"(model: "m" suites { name: "a" dataset: "d" } suites { name: "a" dataset: "d" })",
       "suites[1].name", "two suites"},
      {R"(split: "test" })", "suites[0].split", "'test'"},
      {R"(slices: "a" slices: "a" })", "suites[0].slices", "different"},
      {R"(max_tokens: 100000 })", "suites[0].max_tokens", "at most"},
      {R"(metrics { name: "bleu" } })", "suites[0].metrics[0].name", "rouge_l"},
      {R"(metrics { name: "regex" } })", "suites[0].metrics[0].pattern", "needs a pattern"},
      {R"(metrics { name: "regex" pattern: "[" } })", "suites[0].metrics[0].pattern", "RE2"},
      {R"(metrics { name: "json_schema" schema: "{" } })", "suites[0].metrics[0].schema",
       "not JSON"},
      {R"(metrics { name: "judge" } })", "suites[0].metrics[0].judge", "judges"},
      {R"(metrics { name: "accuracy" labels: "a" } })", "suites[0].metrics[0].labels", "2 to 100"},
      {R"(metrics { name: "accuracy" labels: "a" labels: " a" } })", "suites[0].metrics[0].labels",
       "differ"},
      {R"(metrics { name: "accuracy" labels: "a" labels: "b" }
          metrics { name: "macro_f1" labels: "a" labels: "c" } })",
       "suites[0].metrics[1].labels", "the same labels"},
      {R"(metrics { name: "rouge_l" } metrics { name: "rouge_l" } })", "suites[0].metrics[1]",
       "twice"},
      {R"(} smoke { })", "smoke[0].prompt", "not empty"},
      {R"(} smoke { prompt: "a" must_match: "[" })", "smoke[0].must_match", "RE2"},
  };
  for (const Case& one : cases) {
    const std::string text = one.request;
    const bool whole = text.starts_with("model") || text.starts_with("suites");
    const Status status = CheckEvaluate(Parse<v1::EvaluateRequest>(whole ? text : suite + text));
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument) << text;
    EXPECT_EQ(status.field(), one.field) << status.message();
    EXPECT_THAT(status.message(), HasSubstr(one.message));
  }
}

TEST(CheckEmbed, SaysWhatIsWrong) {
  EXPECT_TRUE(CheckEmbed(Parse<v1::EmbedRequest>(R"(model: "m" dataset: "d" split: "all")")).ok());
  for (const Case& one :
       {Case{R"(dataset: "d")", "model", "model"}, Case{R"(model: "m")", "dataset", "dataset"},
        Case{R"(model: "m" dataset: "d" split: "unlabelled")", "split", "all"},
        Case{R"(model: "m" dataset: "d" max_tokens: 9000)", "max_tokens", "most"}}) {
    const Status status = CheckEmbed(Parse<v1::EmbedRequest>(one.request));
    EXPECT_EQ(status.field(), one.field);
    EXPECT_THAT(status.message(), HasSubstr(one.message));
  }
}

TEST(CheckSuiteData, ASplitWithoutExamplesCannotBeMeasured) {
  auto version = Parse<v1::DatasetVersion>(
      R"(name: "docs" version: 3 shape: "messages" examples { key: "train" value: 9 }
         examples { key: "validation" value: 0 })");
  auto suite = Parse<v1::Suite>(R"(name: "goal" split: "validation" metrics { name: "rouge_l" })");
  const Status status = CheckSuiteData(suite, version);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("the validation split of docs@3 has no example"));
  EXPECT_THAT(status.message(), HasSubstr("--validation"));
  suite.set_split("train");
  EXPECT_THAT(CheckSuiteData(suite, version).message(), IsEmpty());
}

TEST(CheckSuiteData, PlainTextsHaveNoPromptToAnswer) {
  const auto version = Parse<v1::DatasetVersion>(
      R"(name: "docs" version: 3 shape: "text" examples { key: "train" value: 9 })");
  auto suite = Parse<v1::Suite>(R"(name: "goal" split: "train" metrics { name: "perplexity" })");
  EXPECT_TRUE(CheckSuiteData(suite, version).ok());
  suite.add_metrics()->set_name("exact_match");
  EXPECT_THAT(CheckSuiteData(suite, version).message(), HasSubstr("plain texts"));
}

TEST(CheckSuiteData, PreferencePairsAreNotMeasured) {
  const auto version = Parse<v1::DatasetVersion>(
      R"(name: "pairs" version: 1 shape: "preference" examples { key: "train" value: 9 })");
  const auto suite = Parse<v1::Suite>(R"(name: "goal" split: "train" metrics { name: "loss" })");
  EXPECT_THAT(CheckSuiteData(suite, version).message(), HasSubstr("pairs@1 has only preference"));
}

TEST(CheckEmbedData, AllTakesRowsWithoutAnAnswerToo) {
  const auto version = Parse<v1::DatasetVersion>(
      R"(name: "live" version: 1 unlabelled: 5 examples { key: "train" value: 0 })");
  EXPECT_TRUE(CheckEmbedData(Parse<v1::EmbedRequest>(R"(split: "all")"), version).ok());
  const Status status = CheckEmbedData(Parse<v1::EmbedRequest>(R"(split: "train")"), version);
  EXPECT_EQ(status.field(), "split");
  EXPECT_THAT(status.message(), HasSubstr("live@1"));
}

}  // namespace
}  // namespace attune::jobs
