#include "common/spec/stream_spec.h"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "common/base/files.h"
#include "common/spec/stream_keys.h"
#include "common/yaml/document.h"

namespace attune::spec {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(StreamSpec, DefaultsAreFilledIn) {
  auto spec = ParseStreamSpec("name: live\nmodel: docs@champion\n", "live.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->window().examples(), 500u);
  EXPECT_EQ(spec->window().examples_min(), 50u);
  EXPECT_DOUBLE_EQ(spec->window().seconds(), 86400);
  EXPECT_DOUBLE_EQ(spec->alarm().false_alarms_per_week(), 0.05);
  EXPECT_EQ(spec->alarm().persistence(), 2u);
  EXPECT_TRUE(ValidateStreamSpec(*spec).ok());
}

TEST(StreamSpec, EveryKeyIsReadAndWrittenBack) {
  auto spec = ParseStreamSpec(
      "name: live\nmodel: docs@champion\nreference: stdlib@2\n"
      "window: {examples: 200, time: 6h, examples_min: 20}\nfolders: [rows, /var/it's]\n"
      "categories: [language]\nalarm: {false_alarms_per_week: 0.1, persistence: 3, psi: 0.3, "
      "auc: 0.7, length: 0.3, vocabulary: 0.1, loss: 0.2, quality: 0.5}\n",
      "live.yaml", "/home/me");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_THAT(spec->folders(), ElementsAre("/home/me/rows", "/var/it's"));
  EXPECT_DOUBLE_EQ(spec->window().seconds(), 21600);
  EXPECT_DOUBLE_EQ(spec->alarm().quality_min(), 0.5);
  auto again = ParseStreamSpec(ToYaml(*spec), "again.yaml");
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->SerializeAsString(), spec->SerializeAsString());
}

TEST(StreamSpec, TheSampleIsOne) {
  auto text = ReadFile("configs/streams/live-docs.yaml");
  ASSERT_TRUE(text.ok()) << text.status().message();
  auto spec = ParseStreamSpec(*text, "live-docs.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->reference(), "");  // what the champion was trained on
}

TEST(StreamSpec, ASmallWindowNeedsNoMoreThanItHas) {
  auto spec = ParseStreamSpec("name: live\nmodel: m\nwindow: {examples: 20}\n", "live.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->window().examples_min(), 20u);
}

TEST(StreamSpec, ErrorsSayWhereAndWhat) {
  const struct {
    const char* text;
    const char* says;
  } kCases[] = {
      {"model: m\n", "missing key 'name'"},
      {"name: live\nmodel: m\nwindow: {exmples: 3}\n",
       "live.yaml:3:10: unknown key 'exmples' in window; did you mean 'examples'?"},
      {"name: live\nmodel: m\nwindow: {examples: 3}\n", "from 10 to 1e5"},
      {"name: live\nmodel: m\nwindow: {examples: 20, examples_min: 30}\n",
       "window.examples_min (30) is more than window.examples (20)"},
      {"name: live\nmodel: m\nwindow: {time: soon}\n", "a duration such as"},
      {"name: Live\nmodel: m\n", "live.yaml:1:7: 'Live' cannot be a stream's name"},
      {"name: live\nmodel: m@a@b\n", "model must be NAME@ALIAS"},
      {"name: live\nmodel: m\nfolders: [rows]\n", "absolute paths"},
      {"name: live\nmodel: m\ncategories: [a, a]\n", "'a' is listed twice"},
      {"name: live\nmodel: m\nreference: live\n", "the stream's own windows"},
      {"name: live\nmodel: m\nalarm: {auc: 0.3}\n", "from 0.5 to 1"},
      {"name: live\nmodel: m\nalarm: {persistence: 0}\n", "from 1 to 20"},
      {"name: live\nmodel: m\nalarm: {psi: 0}\n", "live.yaml:3:14: psi must be above 0"},
      {"name: live\nmodel: m\nalarm: {vocabulary: 0}\n", "vocabulary must be above 0"},
      {"name: live\nmodel: m\nalarm: {quality: 0}\n", "quality must be above 0"},
  };
  for (const auto& c : kCases) {
    auto spec = ParseStreamSpec(c.text, "live.yaml");
    ASSERT_FALSE(spec.ok()) << c.text;
    EXPECT_THAT(spec.status().message(), HasSubstr(c.says)) << c.text;
  }
}

TEST(StreamSpec, WhatComesOverTheWireIsCheckedAlike) {
  v1::StreamSpec spec;
  spec.set_name("live");
  spec.set_model("m");
  FillDefaults(&spec);
  EXPECT_TRUE(ValidateStreamSpec(spec).ok());
  spec.mutable_window()->set_seconds(-1);
  EXPECT_EQ(ValidateStreamSpec(spec).field(), "spec.window.seconds");
}

void Collect(const yaml::Node& node, const std::string& path,
             std::map<std::string, std::string>* values) {
  if (node.entries.empty()) (*values)[path] = node.scalar;
  for (const yaml::Entry& entry : node.entries) {
    Collect(entry.value, path.empty() ? entry.key : path + "." + entry.key, values);
  }
}

// Keys with the values that a spec prints.
std::map<std::string, std::string> Printed(const std::string& text) {
  auto spec = ParseStreamSpec(text, "live.yaml");
  EXPECT_TRUE(spec.ok()) << spec.status().message();
  auto document = yaml::Parse(ToYaml(*spec), "spec");
  EXPECT_TRUE(document.ok()) << document.status().message();
  std::map<std::string, std::string> values;
  Collect(document->root(), "", &values);
  return values;
}

TEST(StreamKeys, AreThoseThatASpecPrints) {
  std::set<std::string> documented, printed;
  for (const SpecKey& key : StreamKeys()) documented.emplace(key.path);
  for (const auto& [key, value] :
       Printed("name: live\nmodel: m\nreference: docs\nfolders: [/rows]\ncategories: [language]\n"
               "alarm: {quality: 0.1}\n")) {
    printed.insert(key);
  }
  EXPECT_EQ(documented, printed);
}

TEST(StreamKeys, SayTheDefaultsThatAreFilledIn) {
  const std::map<std::string, std::string> values = Printed("name: live\nmodel: m\n");
  for (const SpecKey& key : StreamKeys()) {
    const auto value = values.find(std::string(key.path));
    if (value == values.end() || key.fallback.empty()) continue;
    EXPECT_EQ(value->second, key.path == "window.time" ? "86400s" : key.fallback) << key.path;
  }
}

TEST(StreamPage, IsUpToDate) {
  auto page = ReadFile("docs/stream-spec.md");
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_EQ(*page, StreamMarkdown()) << "run: attune drift explain > docs/stream-spec.md";
}

}  // namespace
}  // namespace attune::spec
