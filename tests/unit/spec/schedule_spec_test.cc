#include "common/spec/schedule_spec.h"

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/base/files.h"
#include "common/spec/json.h"
#include "common/spec/schedule_keys.h"
#include "common/yaml/document.h"

namespace attune::spec {
namespace {

using ::testing::HasSubstr;

constexpr const char* kJob = "base: smollm2\ndataset: docs\nmethod: lora\n";

Result<v1::ScheduleSpec> Parse(const std::string& text) {
  return ParseScheduleSpec(text, "spec/weekly.yaml",
                           [](const std::filesystem::path& path) -> Result<std::string> {
                             if (path == "spec/job.yaml") return std::string(kJob);
                             if (path == "spec/bad.yaml") {
                               return std::string("base: smollm2\ndataset: docs\nmethod: lore\n");
                             }
                             if (path == "spec/answer.json") return std::string("{\"a\": 1}");
                             return NotFound(path.string() + " is not there");
                           });
}

std::string Refusal(const std::string& text) {
  auto spec = Parse(text);
  EXPECT_FALSE(spec.ok());
  if (!spec.ok()) EXPECT_EQ(spec.status().code(), StatusCode::kInvalidArgument);
  return spec.status().message();
}

TEST(ScheduleSpec, ShortestHasEveryDefault) {
  auto spec = Parse("name: weekly\njob: job.yaml\n");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->start_from(), "champion");
  EXPECT_EQ(spec->trigger().timezone(), "UTC");
  EXPECT_TRUE(spec->gates().champion().required());
  EXPECT_EQ(spec->gates().champion().metric().name(), "loss");
  EXPECT_EQ(spec->gates().champion().confidence(), 0.95);
  EXPECT_EQ(spec->promote().model(), "smollm2-lora");
  EXPECT_EQ(spec->promote().alias(), "champion");
  EXPECT_EQ(spec->limits().overlap(), "skip");
  EXPECT_EQ(spec->limits().catch_up(), "latest");
  EXPECT_EQ(spec->job().train().sequence_length(), 1024u);
  EXPECT_TRUE(ValidateScheduleSpec(*spec).ok());
}

TEST(ScheduleSpec, InlineJobAndSingleReplay) {
  auto spec = Parse(
      "name: weekly\n"
      "job: {base: smollm2, dataset: docs, method: full}\n"
      "data: {replay: {dataset: old, share: 0.3}}\n"
      "promote: {model: docs-model}\n");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->job().method().type(), "full");
  EXPECT_EQ(spec->job().register_().model(), "docs-model");
  ASSERT_EQ(spec->data().replay_size(), 1);
  EXPECT_EQ(spec->data().replay(0).share(), 0.3);
}

TEST(ScheduleSpec, MetricsWithWhatTheyNeed) {
  auto spec = Parse(
      "name: weekly\njob: job.yaml\n"
      "gates:\n"
      "  goals:\n"
      "    regex: {pattern: \"a+\", min: 0.9}\n"
      "    json_schema: {schema: answer.json, min: 0.5}\n"
      "    accuracy: {labels: [yes, no], min: 0.8, confidence: 0.95, slice: {source: web}}\n"
      "    judge: {name: helpful, min: 0.7}\n"
      "  retention: [{dataset: old@3, metric: token_f1, budget: 0.1, relative: true}]\n"
      "  limits: {bytes: 1.5GB, first_token: 250ms}\n");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  ASSERT_EQ(spec->gates().goals_size(), 4);
  EXPECT_EQ(spec->gates().goals(0).metric().pattern(), "a+");
  EXPECT_EQ(spec->gates().goals(1).metric().schema(), "{\"a\": 1}");
  EXPECT_EQ(spec->gates().goals(2).metric().labels_size(), 2);
  EXPECT_EQ(spec->gates().goals(2).slice_key(), "source");
  EXPECT_EQ(spec->gates().goals(3).metric().judge(), "helpful");
  EXPECT_EQ(spec->gates().retention(0).name(), "old");
  EXPECT_EQ(spec->gates().limits().bytes_max(), 1500000000u);
  EXPECT_EQ(spec->gates().limits().first_token_seconds_max(), 0.25);
}

TEST(ScheduleSpec, GoalsAreAsSureAsEveryOtherGateUnlessAskedOtherwise) {
  auto spec = Parse(
      "name: weekly\njob: job.yaml\n"
      "gates:\n"
      "  goals: {validation_loss: {max: 2}, perplexity: {max: 9, confidence: 0}}\n"
      "  champion: {metric: loss}\n");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  EXPECT_EQ(spec->gates().goals(0).confidence(), 0.95);
  EXPECT_EQ(spec->gates().goals(1).confidence(), 0);
  // Both names of the loss are taken.
  EXPECT_EQ(spec->gates().goals(0).metric().name(), "loss");
  EXPECT_EQ(spec->gates().champion().metric().name(), "loss");
  EXPECT_TRUE(ValidateScheduleSpec(*spec).ok());
}

TEST(ScheduleSpec, AllErrorsAtOnceWithTheirPlaces) {
  std::string message = Refusal(
      "name: weekly\n"
      "job: bad.yaml\n"
      "trigger: {crom: \"0 3 * * *\", jitter: 5}\n"
      "limits: {overlap: run}\n");
  EXPECT_THAT(message, HasSubstr("spec/weekly.yaml:3:11: unknown key 'crom' in trigger"));
  EXPECT_THAT(message, HasSubstr("did you mean 'cron'?"));
  EXPECT_THAT(message, HasSubstr("trigger.jitter must be a duration"));
  EXPECT_THAT(message, HasSubstr("limits.overlap must be skip or queue"));
  EXPECT_THAT(
      message,
      HasSubstr("spec/bad.yaml:3:9: method.type must be lora, qlora, full or prompt-tuning"));
}

TEST(ScheduleSpec, ErrorsOfAnInlineJobStandInTheSchedule) {
  auto spec = Parse("name: weekly\njob:\n  base: smollm2\n  dataset: docs\n  method: lore\n");
  EXPECT_THAT(spec.status().message(), HasSubstr("spec/weekly.yaml:5:11: method.type must be"));
  EXPECT_EQ(spec.status().field(), "job.method.type");
}

TEST(ScheduleSpec, WhatDoesNotFitTogetherIsRefusedWhereItStands) {
  std::string message = Refusal(
      "name: weekly\n"
      "job: job.yaml\n"
      "trigger: {drift: true}\n"
      "data: {replay: [{dataset: a, share: 0.5}, {dataset: b, share: 0.6}]}\n"
      "gates:\n"
      "  goals: {token_f1: {confidence: 0.9}, nonsense: {min: 1}}\n"
      "  retention: [{dataset: a}, {dataset: a@2}]\n");
  EXPECT_THAT(message, HasSubstr("spec/weekly.yaml:3:18: trigger.drift needs data.observe"));
  EXPECT_THAT(message, HasSubstr("the shares add up to 1.1"));
  EXPECT_THAT(message, HasSubstr("spec/weekly.yaml:6:21: gates.goals[0].min or max"));
  EXPECT_THAT(message,
              HasSubstr("gates.goals[1].metric must be one of loss (or validation_loss), "));
  EXPECT_THAT(message, HasSubstr("gates.retention[1].name 'a' is taken"));
}

TEST(ScheduleSpec, MissingFilesAreNamed) {
  EXPECT_THAT(Refusal("name: a\njob: none.yaml\n"), HasSubstr("spec/none.yaml is not there"));
  EXPECT_THAT(Refusal("name: a\n"), HasSubstr("missing key 'job'"));
}

TEST(ScheduleSpec, WireSpecsNeedEveryField) {
  auto spec = Parse("name: weekly\njob: job.yaml\n");
  ASSERT_TRUE(spec.ok());
  v1::ScheduleSpec wire = *spec;
  wire.mutable_job()->mutable_train()->set_sequence_length(0);
  EXPECT_EQ(ValidateScheduleSpec(wire).field(), "job.train.sequence_length");
  wire = *spec;
  wire.mutable_limits()->clear_overlap();
  EXPECT_EQ(ValidateScheduleSpec(wire).field(), "limits.overlap");
  EXPECT_FALSE(ValidateScheduleSpec(v1::ScheduleSpec()).ok());
}

TEST(ScheduleSpec, ErrorsOfTheCoordinatorAreShownInTheText) {
  Status shown =
      ShowInText(InvalidArgument("the hour, '25', is not valid").WithField("trigger.cron"),
                 "name: a\ntrigger:\n  cron: 0 25 * * *\n", "a.yaml");
  EXPECT_THAT(shown.message(), HasSubstr("a.yaml:3:9: the hour"));
  EXPECT_EQ(shown.field(), "trigger.cron");
}

TEST(ScheduleSpec, EveryConfigParsesAndItsYamlFormIsTheSame) {
  auto read = [](const std::filesystem::path& path) { return ReadFile(path); };
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("configs/schedules")) {
    auto text = ReadFile(entry.path());
    ASSERT_TRUE(text.ok());
    auto spec = ParseScheduleSpec(*text, entry.path(), read);
    ASSERT_TRUE(spec.ok()) << spec.status().message();
    auto again = ParseScheduleSpec(ToYaml(*spec), "again.yaml", read);
    ASSERT_TRUE(again.ok()) << again.status().message() << ToYaml(*spec);
    EXPECT_EQ(ToJsonText(*again), ToJsonText(*spec));
    ++count;
  }
  EXPECT_GE(count, 1);
}

// A text with one key set, at its place.
std::string With(std::string_view path) {
  std::string text = "name: x\n", indent;
  while (true) {
    size_t dot = path.find('.');
    std::string key(path.substr(0, dot));
    bool item = key.ends_with("[]");
    if (item) key.resize(key.size() - 2);
    text += indent + key + ":";
    if (dot == path.npos) return text + " 1\n";
    indent = indent.find('-') == indent.npos ? indent + "  " : std::string(indent.size() + 2, ' ');
    text += "\n";
    if (item) {
      text += indent + (key == "goals" ? "- metric: " +
                                             std::string(path.ends_with("pattern")  ? "regex"
                                                         : path.ends_with("schema") ? "json_schema"
                                                         : path.ends_with("labels") ? "accuracy"
                                                         : path.ends_with("name")   ? "judge"
                                                                                    : "rouge_l") +
                                             "\n"
                                       : "- ");
      indent = key == "goals" ? indent + "  " : indent + "  ";
      if (key != "goals") {
        // The first key stands beside the dash.
        return text + std::string(path.substr(dot + 1)) + ": 1\n";
      }
    }
    path = path.substr(dot + 1);
  }
}

TEST(ScheduleKeys, AreKeysOfTheParser) {
  for (const SpecKey& key : ScheduleKeys()) {
    auto spec = Parse(With(key.path));
    EXPECT_THAT(spec.status().message(), ::testing::Not(HasSubstr("unknown key")))
        << With(key.path);
    EXPECT_THAT(spec.status().message(), ::testing::Not(HasSubstr("not valid YAML")))
        << With(key.path);
  }
}

void Collect(const yaml::Node& node, const std::string& path, std::set<std::string>* keys) {
  for (const yaml::Node& item : node.items) Collect(item, path + "[]", keys);
  if (node.items.empty() && node.entries.empty()) keys->insert(path);
  for (const yaml::Entry& entry : node.entries) {
    Collect(entry.value, path.empty() ? entry.key : path + "." + entry.key, keys);
  }
}

TEST(ScheduleKeys, AllThatASpecPrintsIsDocumented) {
  auto spec = Parse(
      "name: weekly\njob: job.yaml\ndata: {observe: s, replay: {dataset: a, share: .1}}\n"
      "trigger: {cron: \"0 3 * * *\"}\n"
      "promote: {rollback: {windows: 2}}\n"
      "gates:\n  dtype: bfloat16\n  slices: [a]\n"
      "  smoke: [{prompt: a, must_match: b, must_not_match: c}]\n"
      "  retention: [{dataset: b}]\n"
      "limits: {blackouts: [{cron: \"0 8 * * *\", for: 1h}]}\n");
  ASSERT_TRUE(spec.ok()) << spec.status().message();
  auto document = yaml::Parse(ToYaml(*spec), "spec");
  ASSERT_TRUE(document.ok()) << document.status().message();
  std::set<std::string> printed, documented;
  Collect(document->root(), "", &printed);
  for (const SpecKey& key : ScheduleKeys()) documented.emplace(key.path);
  for (const std::string& key : printed) {
    bool job = key.starts_with("job.");
    EXPECT_TRUE(job || documented.contains(key) ||
                documented.contains(key.substr(0, key.rfind("[]"))))
        << key;
  }
}

TEST(SchedulePage, IsUpToDate) {
  auto page = ReadFile("docs/schedule-spec.md");
  ASSERT_TRUE(page.ok()) << page.status().message();
  EXPECT_EQ(*page, ScheduleMarkdown()) << "run: attune schedule explain > docs/schedule-spec.md";
}

}  // namespace
}  // namespace attune::spec
