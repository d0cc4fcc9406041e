#include "coordinator/models/card.h"

#include <gmock/gmock.h>

namespace attune::models {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

CardFacts Facts() {
  CardFacts facts;
  v1::ModelVersion& version = facts.version;
  version.set_name("docs");
  version.set_version(3);
  version.set_format("peft-adapter");
  version.set_architecture("llama");
  version.set_parameters(4096);
  version.set_bytes(20000);
  version.set_checksum("abc123");
  version.set_base("tiny@1");
  version.mutable_created()->set_seconds(1700000000);
  version.add_aliases("champion");
  (*version.mutable_metrics())["validation_loss"] = 2.125;
  v1::Lineage& lineage = *version.mutable_lineage();
  lineage.set_job_id("job-7");
  lineage.set_base("docs@2");
  lineage.set_update("update-5");
  lineage.set_code_version("0.3.0");
  lineage.add_datasets("rows@4");
  lineage.add_dataset_checksums("fed321");
  lineage.set_spec(R"({"method":{"type":"lora","rank":16},"train":{"seed":1}})");
  v1::DatasetVersion& dataset = facts.datasets.emplace_back();
  dataset.set_name("rows");
  dataset.set_version(4);
  (*dataset.mutable_examples())["train"] = 950;
  (*dataset.mutable_examples())["validation"] = 50;
  return facts;
}

TEST(RenderCard, HasWhatIsRecorded) {
  const std::string card = RenderCard(Facts());
  EXPECT_THAT(card, StartsWith("---\nbase_model: \"tiny@1\"\nlibrary_name: peft\n"));
  for (const char* part :
       {"# docs@3\n", "| adapter of | tiny@1 |", "| trained from | docs@2 |", "| job | job-7 |",
        "| update | update-5 |", "| aliases | champion |", "| code | 0.3.0 |",
        "| checksum (sha256) | abc123 |", "| rows@4 | 950 | 50 | fed321 |",
        "Method: type lora, rank 16.", "\"seed\": 1", "| validation_loss | 2.125 |",
        "attune model export docs@3 MERGED --merge", "2023-11-14T22:13:20Z"}) {
    EXPECT_THAT(card, HasSubstr(part));
  }
}

TEST(RenderCard, LeavesOutWhatIsNotRecorded) {
  CardFacts facts;
  facts.version.set_name("tiny");
  facts.version.set_version(1);
  facts.version.set_format("huggingface");
  facts.version.mutable_lineage()->set_source("/models/tiny");
  const std::string card = RenderCard(facts);
  EXPECT_THAT(card, HasSubstr("| imported from | /models/tiny |"));
  EXPECT_THAT(card, HasSubstr("library_name: transformers"));
  for (const char* part : {"base_model", "## Data", "## Training", "## Metrics", "## Gates",
                           "## Aliases", "| job |", "--merge", "created", "peft"}) {
    EXPECT_THAT(card, Not(HasSubstr(part)));
  }
}

TEST(RenderCard, SaysWhatTheGatesSaid) {
  CardFacts facts = Facts();
  v1::GateReport& report = facts.gates.emplace();
  report.set_verdict(v1::GateReport::FAILED);
  report.set_summary("forgot arithmetic");
  report.set_champion("docs@2");
  report.set_facts_checksum("facade");
  v1::GateResult& gate = *report.add_gates();
  gate.set_gate("retention");
  gate.set_name("arithmetic");
  gate.set_verdict(v1::GateReport::FAILED);
  gate.set_value(0.2);
  gate.set_lower(0.1);
  gate.set_upper(0.3);
  gate.set_bound(0.02);
  gate.set_confidence(0.95);
  gate.set_examples(200);
  gate.set_method("paired bootstrap");
  v1::SkillChange& skill = *report.add_skills();
  skill.set_skill("arithmetic");
  skill.set_metric("exact_match");
  skill.set_before(0.9);
  skill.set_after(0.7);
  skill.set_worse_by(0.2);
  skill.set_lower(0.1);
  skill.set_upper(0.3);
  skill.set_budget(0.02);
  const std::string card = RenderCard(facts);
  EXPECT_THAT(card, HasSubstr("failed: forgot arithmetic"));
  EXPECT_THAT(card, HasSubstr("Compared with docs@2."));
  EXPECT_THAT(card, HasSubstr("| retention arithmetic | failed | 0.2 | 0.1 | 0.3 | 0.02 | 0.95 | "
                              "200 | paired bootstrap |"));
  EXPECT_THAT(card, HasSubstr("| arithmetic | exact_match | 0.9 | 0.7 | 0.2 | 0.1 | 0.3 | 0.02 | "
                              "no: forgotten |"));
  EXPECT_THAT(card, HasSubstr("one-sided bounds"));
  EXPECT_THAT(card, HasSubstr("sha256 facade"));
}

TEST(RenderCard, WhatPeopleWroteMakesNoMarkdown) {
  CardFacts facts = Facts();
  v1::AliasMove& move = facts.moves.emplace_back();
  move.set_alias("champion");
  move.set_kind("set");
  move.set_from_version(2);
  move.set_to_version(3);
  move.set_actor("user:alice");
  move.set_reason("good | better\n# Best <b> `x`");
  EXPECT_THAT(RenderCard(facts),
              HasSubstr("| champion | set | 2 | 3 | user:alice | good \\| better "
                        "# Best &lt;b> \\`x\\` |  |\n"));
}

TEST(RenderCard, APrunedVersionOffersNoUse) {
  CardFacts facts = Facts();
  facts.version.set_files_removed(true);
  const std::string card = RenderCard(facts);
  EXPECT_THAT(card, HasSubstr("| files | removed"));
  EXPECT_THAT(card, Not(HasSubstr("## Use")));
}

}  // namespace
}  // namespace attune::models
