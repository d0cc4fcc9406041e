#include "common/gates/lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace attune::gates {
namespace {

using ::testing::HasSubstr;

std::string Id(int i) {
  return std::string(30, '0') + (i < 10 ? "0" : "") + std::to_string(i);
}

std::string ExampleLine(const std::string& suite, int i, const std::string& more = "") {
  return R"({"example": {"suite": ")" + suite + R"(", "id": ")" + Id(i) +
         R"(", "loss_sum": 12.5, "target_tokens": 5, "scores": {"exact_match": 1})" + more + "}}";
}
const char kArtifact[] = R"({"artifact": {"bytes": 1000, "parameters": "12", "dtype": "float32"}})";

class FactsReaderTest : public ::testing::Test {
 protected:
  FactsReaderTest() {
    v1::EvaluateRequest request;
    v1::Suite* goal = request.add_suites();
    goal->set_name("goal");
    goal->add_metrics()->set_name("exact_match");
    request.add_smoke()->set_prompt("hello");
    reader_.emplace("docs@2", "job-1", request);
  }
  std::string ErrorOf(const std::string& line) {
    Status status = reader_->AddLine(line);
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(reader_->Finish().status().message(), status.message());  // the error stays
    return status.message();
  }
  void Add(const std::string& line) {
    Status status = reader_->AddLine(line);
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  std::optional<FactsReader> reader_;
};

TEST_F(FactsReaderTest, ReadsAnEvaluationInOneOrder) {
  Add(ExampleLine("goal", 2));
  Add("");
  Add(R"({"smoke": {"prompt": "hello", "answer": "Hi.", "passed": true}})");
  Add(ExampleLine("goal", 1, R"(, "slices": {"tenant": "a"})"));
  Add(kArtifact);
  auto facts = reader_->Finish();
  ASSERT_TRUE(facts.ok()) << facts.status().ToString();
  EXPECT_EQ(facts->model(), "docs@2");
  EXPECT_EQ(facts->job_id(), "job-1");
  ASSERT_EQ(facts->examples_size(), 2);
  EXPECT_EQ(facts->examples(0).id(), Id(1));
  EXPECT_EQ(facts->examples(0).slices().at("tenant"), "a");
  EXPECT_EQ(facts->examples(1).loss_sum(), 12.5);
  EXPECT_EQ(facts->artifact().parameters(), 12u);
  EXPECT_TRUE(facts->smoke(0).passed());
}

TEST_F(FactsReaderTest, NamesTheLineThatIsNoEvaluationLine) {
  Add(ExampleLine("goal", 1));
  EXPECT_THAT(ErrorOf("{\"example\": 7}"),
              HasSubstr("the output of job-1, line 2: not an EvaluationLine"));
}
TEST_F(FactsReaderTest, RefusesALineWithoutContent) {
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("line 1: the line is neither example nor smoke"));
}
TEST_F(FactsReaderTest, LeavesOutWhatANewerWorkerSays) {
  std::string line = ExampleLine("goal", 1);
  line.insert(line.find("{", 1) + 1, "\"of_tomorrow\": [1], ");
  Add(line);
}
TEST_F(FactsReaderTest, RefusesASuiteThatWasNotAskedFor) {
  EXPECT_THAT(ErrorOf(ExampleLine("math", 1)), HasSubstr("suite \"math\" was not asked for"));
}
TEST_F(FactsReaderTest, RefusesAnExampleTwice) {
  Add(ExampleLine("goal", 1));
  EXPECT_THAT(ErrorOf(ExampleLine("goal", 1)), HasSubstr(Id(1) + " of suite goal comes twice"));
}
TEST_F(FactsReaderTest, RefusesAnIdThatIsNone) {
  EXPECT_THAT(ErrorOf(R"({"example": {"suite": "goal", "id": "7", "loss_sum": 1}})"),
              HasSubstr("is \"7\", not 32 hexadecimal digits"));
}
TEST_F(FactsReaderTest, RefusesALossThatIsNotANumber) {
  std::string line = ExampleLine("goal", 1);
  line.replace(line.find("12.5"), 4, "\"NaN\"");
  EXPECT_THAT(ErrorOf(line), HasSubstr("its loss is not a number; the model's weights may have"));
}
// JSON writers make null of a NaN, and protobuf makes 0 of null: the best loss there is.
TEST_F(FactsReaderTest, RefusesNull) {
  std::string line = ExampleLine("goal", 1);
  line.replace(line.find("12.5"), 4, "null");
  EXPECT_THAT(ErrorOf(line), HasSubstr("line 1: a value is null, that is, not a number"));
}
TEST_F(FactsReaderTest, RefusesAMissingLoss) {
  std::string line = ExampleLine("goal", 1);
  line.erase(line.find("\"loss_sum\": 12.5, "), 18);
  EXPECT_THAT(ErrorOf(line), HasSubstr("an example without loss_sum"));
}
TEST_F(FactsReaderTest, RefusesAScoreThatIsNotANumber) {
  std::string line = ExampleLine("goal", 1);
  line.replace(line.find(": 1}"), 4, ": \"Infinity\"}");
  EXPECT_THAT(ErrorOf(line), HasSubstr("its exact_match is not a number"));
}
TEST_F(FactsReaderTest, RefusesAMissingScore) {
  std::string line = ExampleLine("goal", 1);
  line.replace(line.find("exact_match"), 11, "rouge_l");
  EXPECT_THAT(ErrorOf(line), HasSubstr("has no score \"exact_match\""));
}
TEST_F(FactsReaderTest, RefusesWhatFollowsTheArtifact) {
  Add(kArtifact);
  EXPECT_THAT(ErrorOf(ExampleLine("goal", 1)), HasSubstr("nothing may follow the artifact"));
}
TEST_F(FactsReaderTest, RefusesALineThatIsTooLong) {
  EXPECT_THAT(ErrorOf("{" + std::string(kMaxLineBytes, ' ') + "}"), HasSubstr("max_examples"));
}

TEST_F(FactsReaderTest, AnOutputWithoutArtifactIsNotWhole) {
  Add(ExampleLine("goal", 1));
  EXPECT_THAT(reader_->Finish().status().message(), HasSubstr("it is not whole"));
}
TEST_F(FactsReaderTest, EverySuiteHasAnExample) {
  Add(kArtifact);
  EXPECT_THAT(reader_->Finish().status().message(), HasSubstr("suite goal has no example"));
}
TEST_F(FactsReaderTest, EverySmokePromptHasAnAnswer) {
  Add(ExampleLine("goal", 1));
  Add(kArtifact);
  EXPECT_THAT(reader_->Finish().status().message(), HasSubstr("0 answers to 1 smoke prompts"));
}

}  // namespace
}  // namespace attune::gates
