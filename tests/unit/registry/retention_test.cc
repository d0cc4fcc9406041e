#include "coordinator/models/retention.h"

#include <gmock/gmock.h>

namespace attune::models {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

v1::ModelVersion Version(const std::string& name, uint32_t number, const std::string& base = "",
                         const std::string& trained_from = "") {
  v1::ModelVersion version;
  version.set_name(name);
  version.set_version(number);
  version.set_bytes(100 + number);
  version.set_base(base);
  version.mutable_lineage()->set_base(trained_from);
  return version;
}

// docs@1 to docs@count, each on its own.
RetentionFacts Versions(uint32_t count) {
  RetentionFacts facts;
  for (uint32_t number = 1; number <= count; ++number) {
    facts.versions.push_back(Version("docs", number));
  }
  return facts;
}

// "docs@2 why", newest first; "-" for what goes.
std::vector<std::string> Plan(const RetentionFacts& facts, const RetentionRule& rule) {
  std::vector<std::string> lines;
  for (const auto& item : PlanPrune("docs", rule, facts)) {
    lines.push_back(item.model() + " " + (item.kept_for().empty() ? "-" : item.kept_for()));
  }
  return lines;
}

TEST(PlanPrune, KeepsTheNewest) {
  EXPECT_THAT(Plan(Versions(3), {.keep = 1}),
              ElementsAre("docs@3 the newest", "docs@2 -", "docs@1 -"));
  EXPECT_THAT(Plan(Versions(3), {.keep = 2}),
              ElementsAre("docs@3 among the newest 2", "docs@2 among the newest 2", "docs@1 -"));
  EXPECT_EQ(PlanPrune("docs", {.keep = 1}, Versions(2))[1].bytes(), 101u);
}

TEST(PlanPrune, WhatIsRemovedAlreadyDoesNotCount) {
  RetentionFacts facts = Versions(4);
  facts.versions[2].set_files_removed(true);
  EXPECT_THAT(Plan(facts, {.keep = 2}),
              ElementsAre("docs@4 among the newest 2", "docs@2 among the newest 2", "docs@1 -"));
}

TEST(PlanPrune, KeepsAliasesAndTheirWayBack) {
  RetentionFacts facts = Versions(6);
  facts.aliases = {
      {"docs", "champion", 4, {3, 1, 3}}, {"docs", "shadow", 4, {}}, {"other", "champion", 5, {2}}};
  EXPECT_THAT(
      Plan(facts, {.keep = 1}),
      ElementsAre("docs@6 the newest", "docs@5 -", "docs@4 alias champion; alias shadow",
                  "docs@3 rollback 1 of champion", "docs@2 -", "docs@1 rollback 2 of champion"));
  EXPECT_THAT(Plan(facts, {.keep = 1, .rollback_steps = 1}),
              ElementsAre("docs@6 the newest", "docs@5 -", "docs@4 alias champion; alias shadow",
                          "docs@3 rollback 1 of champion", "docs@2 -", "docs@1 -"));
}

TEST(PlanPrune, KeepsWhatIsWorkedOn) {
  RetentionFacts facts = Versions(3);
  facts.in_use = {{"docs@1", "job-7 is RUNNING"}, {"other@2", "job-8 is QUEUED"}};
  EXPECT_THAT(Plan(facts, {.keep = 1}),
              ElementsAre("docs@3 the newest", "docs@2 -", "docs@1 job-7 is RUNNING"));
}

TEST(PlanPrune, KeepsBasesOfWhatStays) {
  RetentionFacts facts;
  facts.versions = {Version("docs", 1), Version("docs", 2, "docs@1", "docs@1"),
                    Version("docs", 3, "docs@1", "docs@2"), Version("docs", 4)};
  EXPECT_THAT(Plan(facts, {.keep = 1}),
              ElementsAre("docs@4 the newest", "docs@3 -", "docs@2 -", "docs@1 -"))
      << "bases of versions that go are not kept";
  facts.in_use = {{"docs@3", "job-1 is QUEUED"}};
  EXPECT_THAT(Plan(facts, {.keep = 1}),
              ElementsAre("docs@4 the newest", "docs@3 job-1 is QUEUED",
                          "docs@2 docs@3 was trained from it",
                          "docs@1 base of the adapter docs@3; base of the adapter docs@2"));
  EXPECT_THAT(Plan(facts, {.keep = 1, .rollback_steps = 0}),
              ElementsAre("docs@4 the newest", "docs@3 job-1 is QUEUED", "docs@2 -",
                          "docs@1 base of the adapter docs@3"));
}

TEST(PlanPrune, OtherModelsKeepTheirBases) {
  RetentionFacts facts = Versions(3);
  facts.versions.push_back(Version("chat", 1, "docs@2", "docs@2"));
  facts.versions.push_back(Version("gone", 1, "docs@1", "docs@1"));
  facts.versions.back().set_files_removed(true);
  EXPECT_THAT(Plan(facts, {.keep = 1}),
              ElementsAre("docs@3 the newest", "docs@2 base of the adapter chat@1", "docs@1 -"));
}

TEST(PlanPrune, NamesAFewReasonsOfMany) {
  RetentionFacts facts = Versions(2);
  for (uint32_t number = 1; number <= 8; ++number) {
    facts.versions.push_back(Version("chat", number, "docs@1"));
  }
  EXPECT_THAT(PlanPrune("docs", {.keep = 1}, facts)[1].kept_for(),
              ::testing::EndsWith("base of the adapter chat@5; and 3 more"));
}

TEST(PlanPrune, AModelWithoutVersions) {
  EXPECT_THAT(PlanPrune("docs", {.keep = 1}, {}), IsEmpty());
}

}  // namespace
}  // namespace attune::models
