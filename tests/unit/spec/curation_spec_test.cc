#include "common/spec/curation_spec.h"

#include <gmock/gmock.h>

namespace attune::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<v1::CurationSpec> Parse(const std::string& text) {
  ATTUNE_ASSIGN_OR_RETURN(yaml::Document document, yaml::Parse(text, "import.yaml"));
  yaml::Reader reader(document);
  v1::CurationSpec spec;
  ReadCuration(reader, &spec);
  CheckCuration(spec, [&](const std::string& path, const std::string& message) {
    reader.Fail(path, message);
  });
  ATTUNE_RETURN_IF_ERROR(reader.Finish());
  return spec;
}

std::vector<std::string> WrongPaths(const v1::CurationSpec& spec) {
  std::vector<std::string> paths;
  CheckCuration(spec, [&](const std::string& path, const std::string&) { paths.push_back(path); });
  return paths;
}

TEST(ReadCuration, TakesAllKeys) {
  Result<v1::CurationSpec> spec = Parse(
      "near_duplicates: {action: remove, threshold: 0.7}\n"
      "length: {min: 10, max: 20000}\n"
      "languages: {keep: [en, de], unknown: drop}\n"
      "patterns:\n  secrets: drop\n  ticket: {expression: 'TICKET-\\d+', action: redact}\n"
      "contamination: {against: [exam@1, quiz], action: report}\n");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->near_duplicates().action(), "remove");
  EXPECT_DOUBLE_EQ(spec->near_duplicates().threshold(), 0.7);
  EXPECT_EQ(spec->length().min(), 10u);
  EXPECT_EQ(spec->length().max(), 20'000u);
  EXPECT_THAT(spec->languages().keep(), ElementsAre("en", "de"));
  EXPECT_EQ(spec->languages().unknown(), "drop");
  ASSERT_EQ(spec->patterns_size(), 2);
  EXPECT_EQ(spec->patterns(0).name(), "secrets");
  EXPECT_EQ(spec->patterns(0).action(), "drop");
  EXPECT_EQ(spec->patterns(1).expression(), "TICKET-\\d+");
  EXPECT_EQ(spec->patterns(1).action(), "redact");
  EXPECT_THAT(spec->contamination().against(), ElementsAre("exam@1", "quiz"));
}

TEST(ReadCuration, SaysWhatIsWrongAndWhere) {
  const auto error = [](const std::string& text) { return Parse(text).status().message(); };
  EXPECT_THAT(error("near_duplicates: {action: delete}"), HasSubstr("together, remove or off"));
  EXPECT_THAT(error("near_duplicates: {threshold: 0.2}"), HasSubstr("import.yaml:1:30"));
  EXPECT_THAT(error("length: {min: 20, max: 10}"), HasSubstr("length.min (20) is more than"));
  EXPECT_THAT(error("languages: {unknown: keep}"), HasSubstr("languages.keep"));
  EXPECT_THAT(error("patterns: {email: hide}"), HasSubstr("patterns.email must be"));
  EXPECT_THAT(error("patterns: {own: {action: drop}}"), HasSubstr("patterns.own.expression"));
  EXPECT_THAT(error("contamination: {against: []}"), HasSubstr("at least one data set"));
  EXPECT_THAT(error("near_duplicate: {}"), HasSubstr("did you mean 'near_duplicates'"));
}

// What comes over the wire was not read from YAML.
TEST(CheckCuration, RefusesWhatNoFileCouldSay) {
  v1::CurationSpec spec;
  EXPECT_THAT(WrongPaths(spec), ElementsAre());
  spec.mutable_near_duplicates()->set_action("x");
  spec.mutable_near_duplicates()->set_threshold(-1);
  spec.mutable_languages();
  spec.add_patterns()->set_name("email");
  spec.mutable_contamination()->set_action("redact");
  EXPECT_THAT(WrongPaths(spec),
              ElementsAre("near_duplicates.action", "near_duplicates.threshold", "languages.keep",
                          "patterns.email", "contamination.action", "contamination.against"));
}

TEST(FillDefaults, OfCuration) {
  v1::CurationSpec spec;
  FillDefaults(&spec);
  EXPECT_EQ(spec.near_duplicates().action(), "together");
  EXPECT_DOUBLE_EQ(spec.near_duplicates().threshold(), 0.8);
  EXPECT_FALSE(spec.has_languages());
  EXPECT_FALSE(spec.has_contamination());
  EXPECT_THAT(WrongPaths(spec), ElementsAre());
}

}  // namespace
}  // namespace attune::spec
