#include "common/spec/import_spec.h"

#include <gmock/gmock.h>

#include "common/base/files.h"
#include "common/spec/import_keys.h"

namespace attune::spec {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

v1::ImportSpec SpecOf(const std::string& text) {
  auto spec = ParseImportSpec(text, "import.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  return spec.ok() ? *spec : v1::ImportSpec();
}

TEST(ImportSpec, EveryKeyIsRead) {
  const v1::ImportSpec spec = SpecOf(
      "format: csv\ndelimiter: semicolon\nmapping: {prompt: \"{context}\\n\\n{question}\", "
      "completion: answer, "
      "tools: functions, label: mood}\ncuration: {length: {max: 100}}\n");
  EXPECT_EQ(spec.format(), "csv");
  EXPECT_EQ(spec.delimiter(), "semicolon");
  EXPECT_EQ(spec.mapping().at("prompt"), "{context}\n\n{question}");
  EXPECT_EQ(spec.mapping().at("label"), "mood");
  EXPECT_EQ(spec.curation().length().max(), 100u);
  EXPECT_TRUE(ValidateImportSpec(spec).ok());
  EXPECT_EQ(ShapeOf(spec)->name, "prompt and completion");
  EXPECT_EQ(ShapeOf(SpecOf("mapping: {prompt: q, chosen: good, rejected: bad}\n"))->name,
            "preference");
  EXPECT_EQ(SpecOf("").SerializeAsString(), "");
  EXPECT_EQ(ShapeOf(SpecOf("mapping: {label: mood}\n")), nullptr);
}

TEST(ImportSpec, TheSampleIsOne) {
  auto text = ReadFile("configs/imports/questions.yaml");
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_THAT(SpecOf(*text).mapping(), SizeIs(3));
}

TEST(ImportSpec, ErrorsSayWhereAndWhat) {
  const struct {
    const char* text;
    const char* says;
  } kCases[] = {
      {"fromat: csv\n", "import.yaml:1:1: unknown key 'fromat'; did you mean 'format'?"},
      {"format: xlsx\n", "import.yaml:1:9: format must be"},
      {"delimiter: ';'\n", "import.yaml:1:12: delimiter must be"},
      {"mapping: {promt: question}\n",
       "import.yaml:1:18: mapping makes no 'promt'; did you mean 'prompt'?"},
      {"mapping: {prompt: ''}\n", "prompt"},
      {"mapping: {prompt: \"{question\"}\n", "import.yaml:1:19: prompt: a column stands in braces"},
      {"mapping: {messages: \"{a}{b}\"}\n", "messages must name a column, as it is a list"},
      {"mapping: {prompt: a, text: b}\n", "makes prompt, text, which are of no one shape"},
      {"curation: {near_duplicates: {threshold: 0.1}}\n",
       "import.yaml:1:41: curation.near_duplicates.threshold must be"},
      {"mapping: [prompt]\n", "mapping must be a section"},
  };
  for (const auto& c : kCases) {
    auto spec = ParseImportSpec(c.text, "import.yaml");
    ASSERT_FALSE(spec.ok()) << c.text;
    EXPECT_THAT(spec.status().message(), HasSubstr(c.says)) << c.text;
  }
}

TEST(ImportSpec, WhatComesOverTheWireIsCheckedAlike) {
  v1::ImportSpec spec;
  (*spec.mutable_mapping())["prompt"] = "}";
  EXPECT_EQ(ValidateImportSpec(spec).field(), "spec.mapping.prompt");
  spec.set_delimiter(";");
  EXPECT_EQ(ValidateImportSpec(spec).field(), "spec.delimiter");
  spec.set_format("xml");
  EXPECT_EQ(ValidateImportSpec(spec).field(), "spec.format");
}

TEST(ImportSpec, AMappingIsAColumnOrATextWithColumns) {
  auto parts = [](const char* value) {
    std::string text;
    auto parsed = ParseMapping(value);
    if (!parsed.ok()) return "refused: " + parsed.status().message();
    for (const MappingPart& part : *parsed) {
      text += (part.column ? "<" : "(") + part.text + (part.column ? ">" : ")");
    }
    return text;
  };
  EXPECT_EQ(parts("question"), "<question>");
  EXPECT_EQ(parts("{question}"), "<question>");
  EXPECT_EQ(parts("Q: {the question}\nA:"), "(Q: )<the question>(\nA:)");
  EXPECT_EQ(parts("{{{a}}}"), "({)<a>(})");
  EXPECT_EQ(parts("{{}}"), "({})");
  for (const char* bad : {"{", "}", "{}", "{a", "a}", "{a{b}}", "{a}}"}) {
    EXPECT_THAT(parts(bad), HasSubstr("refused")) << bad;
  }
}

TEST(ImportSpec, AFlagMapsOneKey) {
  v1::ImportSpec spec;
  EXPECT_TRUE(SetMapping("prompt=a=b", &spec).ok());
  EXPECT_EQ(spec.mapping().at("prompt"), "a=b");
  EXPECT_THAT(SetMapping("prompt", &spec).message(), HasSubstr("KEY=COLUMN"));
}

TEST(ImportSpec, ThePageIsWhatTheCommandPrints) {
  auto page = ReadFile("docs/import-spec.md");
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(*page, ImportMarkdown()) << "run: attune dataset explain > docs/import-spec.md";
}

}  // namespace
}  // namespace attune::spec
