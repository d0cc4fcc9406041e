#include "common/spec/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/files.h"
#include "common/spec/schema.h"

namespace attune::spec {
namespace {

using ::testing::HasSubstr;

TEST(Explain, AKey) {
  auto text = Explain("optimizer.learning_rate");
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("optimizer.learning_rate (number)"));
  EXPECT_THAT(*text, HasSubstr("Default: 2e-4 with lora and qlora, 2e-5 with full"));
}

TEST(Explain, ASectionHasAllItsKeys) {
  auto text = Explain("checkpoint");
  ASSERT_TRUE(text.ok());
  EXPECT_THAT(*text, HasSubstr("checkpoint.every_steps"));
  EXPECT_THAT(*text, HasSubstr("checkpoint.keep"));
}

TEST(Explain, EverythingAndNothing) {
  auto all = Explain("");
  ASSERT_TRUE(all.ok());
  for (const Field& field : Schema()) EXPECT_THAT(*all, HasSubstr(std::string(field.path) + " ("));
  EXPECT_EQ(Explain("train.epoch").status().code(), StatusCode::kNotFound);
  EXPECT_THAT(Explain("train.epoch").status().message(), HasSubstr("did you mean 'train.epochs'?"));
}

TEST(ExplainJson, HasTheSameKeys) {
  auto keys = ExplainJson("checkpoint");
  ASSERT_TRUE(keys.ok());
  ASSERT_EQ(keys->size(), 2u);
  EXPECT_EQ((*keys)[0]["key"], "checkpoint.every_steps");
  EXPECT_EQ((*keys)[1]["default"], "2");
  EXPECT_FALSE((*ExplainJson("base"))[0].contains("default"));
  EXPECT_EQ(ExplainJson("")->size(), Schema().size());
  EXPECT_EQ(ExplainJson("nope").status().code(), StatusCode::kNotFound);
}

TEST(JobSpecPage, IsUpToDate) {
  auto page = ReadFile("docs/job-spec.md");
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_EQ(*page, Markdown()) << "run: attune job explain --markdown > docs/job-spec.md";
}

}  // namespace
}  // namespace attune::spec
