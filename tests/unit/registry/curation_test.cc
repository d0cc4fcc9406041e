#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "coordinator/curation/findings.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// A text of eighty words, another for each seed; version: of its near-duplicates.
std::string Story(uint64_t seed, int version = 0) {
  Random random(seed);
  std::string text;
  for (int i = 0; i < 80; ++i) text += "word" + std::to_string(random.Below(100'000)) + " ";
  return text + "version " + std::to_string(version);
}

std::string Row(const std::string& text) {
  return nlohmann::json{{"text", text}}.dump() + "\n";
}

std::string Stories(uint64_t from, uint64_t to, int version = 0) {
  std::string rows;
  for (uint64_t i = from; i < to; ++i) rows += Row(Story(i, version));
  return rows;
}

class CurationTest : public CatalogTest {
 protected:
  static v1::ImportDatasetRequest::Header Curated(const std::function<void(v1::CurationSpec*)>& set,
                                                  bool append = false) {
    auto header = append ? AppendHeader("docs") : Header("docs");
    set(header.mutable_spec()->mutable_curation());
    return header;
  }

  std::map<std::string, std::string> SidesOfTexts(const std::string& reference) {
    std::map<std::string, std::string> texts;
    const std::map<std::string, std::string> sides = Sides(reference);
    for (const std::string& line : Lines(reference)) {
      const auto json = nlohmann::json::parse(line);
      texts[json.at("text")] = sides.at(json.at("id"));
    }
    return texts;
  }

  std::vector<v1::Finding> Findings(const std::string& reference, bool kept = false) {
    v1::ListFindingsRequest request;
    request.set_dataset(reference);
    request.set_kept(kept);
    request.set_page_size(3);
    std::vector<v1::Finding> all;
    do {
      Result<v1::ListFindingsResponse> page = catalog_.ListFindings(request);
      EXPECT_TRUE(page.ok()) << page.status().ToString();
      if (!page.ok()) break;
      all.insert(all.end(), page->findings().begin(), page->findings().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return all;
  }
};

TEST_F(CurationTest, NearDuplicatesShareASide) {
  const v1::DatasetVersion version =
      MustImport(Header("docs"), Stories(0, 60, 1) + Stories(0, 60, 2));
  const auto sides = SidesOfTexts("docs");
  ASSERT_THAT(sides, SizeIs(120));
  for (uint64_t i = 0; i < 60; ++i) {
    EXPECT_EQ(sides.at(Story(i, 1)), sides.at(Story(i, 2))) << i;
  }
  EXPECT_THAT(version.found(), UnorderedElementsAre(Pair("near_duplicate", 60)));
  EXPECT_TRUE(version.dropped().empty());
  EXPECT_EQ(version.curation().near_duplicates().action(), "together");
}

TEST_F(CurationTest, AppendedNearDuplicatesGoWhereTheFirstIs) {
  auto header = Header("docs");
  header.set_validation_fraction(0.5);
  MustImport(header, Stories(0, 30));
  const auto before = SidesOfTexts("docs@1");
  for (const bool without_files : {false, true}) {
    if (without_files) {
      for (const auto& entry : fs::directory_iterator(storage_.path() / "datasets/docs/2")) {
        if (entry.path().extension() == ".minhash") fs::remove(entry.path());
      }
    }
    const int version = without_files ? 2 : 1;
    MustImport(AppendHeader("docs"), Stories(0, 30, version));
    const auto after = SidesOfTexts("docs");
    ASSERT_THAT(after, SizeIs(30 * (version + 1)));
    for (uint64_t i = 0; i < 30; ++i) EXPECT_EQ(after.at(Story(i, version)), before.at(Story(i)));
  }
}

TEST_F(CurationTest, KeepsSignaturesBesideShardsAndNothingElse) {
  MustImport(Header("docs"), Stories(0, 30));
  MustImport(AppendHeader("docs"), Stories(30, 60));
  size_t shards = 0, signatures = 0;
  for (const std::string& file : storage_.Tree("datasets/docs/2")) {
    shards += file.ends_with(".jsonl") ? 1 : 0;
    signatures += file.ends_with(".minhash") ? 1 : 0;
    EXPECT_THAT(file, Not(HasSubstr(".near-duplicates")));
  }
  EXPECT_GE(shards, 2u);
  EXPECT_EQ(signatures, shards);
}

TEST_F(CurationTest, RemovesAllButTheFirstAndSaysWhich) {
  const v1::DatasetVersion version =
      MustImport(Curated([](v1::CurationSpec* spec) {
                   spec->mutable_near_duplicates()->set_action("remove");
                 }),
                 Stories(0, 5, 1) + Stories(3, 7, 2) + Stories(3, 4, 2));
  EXPECT_THAT(version.dropped(), UnorderedElementsAre(Pair("near_duplicate", 2)));
  EXPECT_EQ(version.duplicates(), 1u);
  EXPECT_THAT(SidesOfTexts("docs"), SizeIs(7));
  const std::vector<v1::Finding> findings = Findings("docs");
  ASSERT_THAT(findings, SizeIs(2));
  EXPECT_EQ(findings[0].file(), "rows.jsonl");
  EXPECT_EQ(findings[0].line(), 6u);
  EXPECT_EQ(findings[0].reason(), "near_duplicate");
  EXPECT_THAT(findings[0].evidence(), HasSubstr(" like "));
  EXPECT_EQ(Story(3, 2).rfind(findings[0].words().substr(0, 50), 0), 0u);
}

TEST_F(CurationTest, LeavesOutOfTrainWhatValidationHas) {
  auto header =
      Curated([](v1::CurationSpec* spec) { spec->mutable_near_duplicates()->set_action("off"); });
  header.set_validation_fraction(0.5);
  const std::string rows = Stories(0, 40, 1) + Stories(0, 40, 2);
  MustImport(header, rows);
  size_t apart = 0;
  auto sides = SidesOfTexts("docs@1");
  for (uint64_t i = 0; i < 40; ++i) apart += sides[Story(i, 1)] != sides[Story(i, 2)] ? 1 : 0;
  ASSERT_GT(apart, 5u);
  header.mutable_spec()->clear_curation();
  const v1::DatasetVersion again = MustImport(header, rows);
  EXPECT_EQ(again.dropped().at("near_validation"), apart);
  sides = SidesOfTexts("docs@2");
  EXPECT_THAT(sides, SizeIs(80 - apart));
  for (uint64_t i = 0; i < 40; ++i) {
    const std::string a = Story(i, 1), b = Story(i, 2);
    if (sides.contains(a) && sides.contains(b)) EXPECT_EQ(sides.at(a), sides.at(b));
  }
  EXPECT_THAT(Findings("docs@2"), SizeIs(apart));
}

// Rows that the version before has, too, stand in the files of this import all the same: as they
// did, or with other metadata.
TEST_F(CurationTest, SaysWhereRowsStoodThatCameAgain) {
  auto header =
      Curated([](v1::CurationSpec* spec) { spec->mutable_near_duplicates()->set_action("off"); });
  header.set_validation_fraction(0);
  constexpr uint64_t kPairs = curation::kFindingsOfReasonKept + 10;
  MustImport(header, Stories(0, kPairs, 1) + Stories(0, kPairs, 2));
  header.mutable_spec()->mutable_curation()->mutable_near_duplicates()->set_action("remove");
  const std::string other = nlohmann::json{{"text", Story(1, 2)}, {"source", "web"}}.dump() + "\n";
  const v1::DatasetVersion again =
      MustImport(header, Stories(0, kPairs, 1) + Row(Story(0, 2)) + other + Stories(2, kPairs, 2));
  EXPECT_THAT(again.dropped(), UnorderedElementsAre(Pair("near_duplicate", kPairs)));
  const std::vector<v1::Finding> findings = Findings("docs");
  EXPECT_THAT(findings, SizeIs(curation::kFindingsOfReasonKept));
  std::set<uint64_t> lines;
  for (const v1::Finding& finding : findings) {
    EXPECT_EQ(finding.file(), "rows.jsonl");
    ASSERT_GT(finding.line(), kPairs);
    EXPECT_EQ(finding.words(), Shorten(Story(finding.line() - kPairs - 1, 2), 100));
    lines.insert(finding.line());
  }
  EXPECT_THAT(lines, SizeIs(findings.size()));
  EXPECT_TRUE(lines.contains(kPairs + 1) && lines.contains(kPairs + 2));
}

TEST_F(CurationTest, GivesTheWordsOfWhatAnAppendLeavesOut) {
  auto header =
      Curated([](v1::CurationSpec* spec) { spec->mutable_near_duplicates()->set_action("off"); });
  header.set_validation_fraction(0.5);
  MustImport(header, Stories(0, 40, 1) + Stories(0, 40, 2));
  // A third of each pair, which joins the one in train with the one in validation.
  const v1::DatasetVersion appended = MustImport(AppendHeader("docs"), Stories(0, 40, 3));
  std::set<std::string> words;
  for (uint64_t i = 0; i < 40; ++i) words.insert(Shorten(Story(i), 100));
  const std::vector<v1::Finding> findings = Findings("docs");
  EXPECT_GT(findings.size(), 5u);
  EXPECT_EQ(findings.size(), appended.dropped().at("near_validation"));
  for (const v1::Finding& finding : findings) {
    EXPECT_EQ(finding.file(), "");
    EXPECT_EQ(words.erase(finding.words()), 1u) << finding.words();
  }
}

TEST_F(CurationTest, CountsWhatWasFoundInRowsThatStay) {
  const auto report = [](v1::CurationSpec* spec) {
    auto* pattern = spec->add_patterns();
    pattern->set_name("ipv4");
    pattern->set_action("report");
    spec->mutable_near_duplicates()->set_action("remove");
  };
  std::string rows;
  for (int version : {1, 2}) {
    for (uint64_t i = 0; i < 5; ++i) rows += Row(Story(i, version) + " from 8.8.8.8");
  }
  for (const char* reference : {"docs@1", "docs@2"}) {  // new rows, then rows of the version before
    const v1::DatasetVersion version = MustImport(Curated(report), rows);
    EXPECT_THAT(version.found(), UnorderedElementsAre(Pair("pattern:ipv4", 5)));
    EXPECT_THAT(version.dropped(), UnorderedElementsAre(Pair("near_duplicate", 5)));
    const std::vector<v1::Finding> all = Findings(reference, /*kept=*/true);
    EXPECT_THAT(all, SizeIs(10));
    for (const v1::Finding& finding : all) {
      EXPECT_EQ(finding.line() <= 5, finding.reason() == "pattern:ipv4") << finding.line();
    }
  }
}

TEST_F(CurationTest, DoesNotCountWhatWasFoundInRowsThatLeaveWithTheBase) {
  auto header =
      Curated([](v1::CurationSpec* spec) { spec->mutable_near_duplicates()->set_action("off"); });
  const std::string rows =
      Row(Story(0, 1) + " from 8.8.8.8") + Row(Story(0, 2) + " from 8.8.8.8") + Stories(1, 4);
  MustImport(header, rows);
  auto* curation = header.mutable_spec()->mutable_curation();
  curation->mutable_near_duplicates()->set_action("remove");
  auto* pattern = curation->add_patterns();
  pattern->set_name("ipv4");
  pattern->set_action("report");
  const v1::DatasetVersion again = MustImport(header, rows);
  EXPECT_THAT(again.found(), UnorderedElementsAre(Pair("pattern:ipv4", 1)));
  EXPECT_THAT(again.dropped(), ::testing::SizeIs(1));
}

TEST_F(CurationTest, DropsByLengthAndLanguage) {
  const std::string english = "The children play in the garden while their mother cooks for all.";
  const std::string german =
      "Die Kinder spielen im Garten, während ihre Mutter für alle das Essen kocht.";
  const v1::DatasetVersion version =
      MustImport(Curated([](v1::CurationSpec* spec) {
                   spec->mutable_length()->set_min(4);
                   spec->mutable_length()->set_max(100);
                   spec->mutable_languages()->add_keep("en");
                 }),
                 Row("abc") + Row("abc") + Row(std::string(101, 'x')) + Row(english) + Row(german) +
                     Row("short"));
  EXPECT_THAT(version.dropped(),
              UnorderedElementsAre(Pair("too_short", 1), Pair("too_long", 1), Pair("language", 1)));
  EXPECT_EQ(version.duplicates(), 1u);
  const auto sides = SidesOfTexts("docs");
  EXPECT_THAT(sides, SizeIs(2));
  EXPECT_TRUE(sides.contains(english));
  std::map<std::string, std::string> evidence;
  for (const v1::Finding& finding : Findings("docs")) {
    evidence[finding.reason()] = finding.evidence();
  }
  EXPECT_EQ(evidence["language"], "de");
  EXPECT_EQ(evidence["too_short"], "3 characters");
}

TEST_F(CurationTest, RedactsReportsAndDropsByPatterns) {
  const v1::DatasetVersion version =
      MustImport(Curated([](v1::CurationSpec* spec) {
                   for (const auto& [name, action] : std::map<std::string, std::string>{
                            {"secrets", "drop"}, {"email", "redact"}, {"ipv4", "report"}}) {
                     auto* pattern = spec->add_patterns();
                     pattern->set_name(name);
                     pattern->set_action(action);
                   }
                 }),
                 Row("write to a@acme.org") + Row("write to b@acme.org") + Row("from 8.8.8.8") +
                     Row("key "
                         "AKIAIOSFODNN7"
                         "EXAMPLE of c@acme.org"));
  EXPECT_THAT(version.dropped(), UnorderedElementsAre(Pair("pattern:aws_access_key", 1)));
  EXPECT_EQ(version.found().at("pattern:ipv4"), 1u);
  EXPECT_EQ(version.found().at("pattern:email"), 1u);
  EXPECT_EQ(version.duplicates(), 1u);  // the two are one when redacted
  const auto sides = SidesOfTexts("docs");
  EXPECT_TRUE(sides.contains("write to [EMAIL]"));
  EXPECT_TRUE(sides.contains("from 8.8.8.8"));
  EXPECT_THAT(sides, SizeIs(2));
  const std::vector<v1::Finding> all = Findings("docs", /*kept=*/true);
  EXPECT_THAT(all, SizeIs(3));
  const std::vector<v1::Finding> dropped = Findings("docs");
  ASSERT_THAT(dropped, SizeIs(1));
  EXPECT_EQ(dropped[0].words(), "key [AWS_ACCESS_KEY] of [EMAIL]");
  EXPECT_EQ(dropped[0].line(), 4u);
}

// What may hold more of what is to be redacted is left out; what is only counted stays.
TEST_F(CurationTest, LeavesOutWhatIsTooCostlyToSearch) {
  const std::string row = Row(std::string(20'000, 'x'));
  const std::map<std::string, std::map<std::string, uint64_t>> dropped = {
      {"report", {}},
      {"redact", {{"pattern_too_costly:costly", 1}}},
      {"drop", {{"pattern:costly", 1}}},
  };
  for (const auto& [action, reasons] : dropped) {
    const v1::DatasetVersion version = MustImport(Curated([&](v1::CurationSpec* spec) {
                                                    auto* pattern = spec->add_patterns();
                                                    pattern->set_name("costly");
                                                    pattern->set_expression("(?s)x.*END|x");
                                                    pattern->set_action(action);
                                                  }),
                                                  row + Row("clean"));
    const std::map<std::string, uint64_t> left_out(version.dropped().begin(),
                                                   version.dropped().end());
    EXPECT_EQ(left_out, reasons) << action;
    if (action != "report") {
      const std::vector<v1::Finding> findings = Findings("docs");
      ASSERT_THAT(findings, SizeIs(1));
      EXPECT_TRUE(findings[0].words().starts_with("[COSTLY][COSTLY]")) << findings[0].words();
      continue;
    }
    EXPECT_THAT(version.found(), UnorderedElementsAre(Pair("pattern:costly", 1),
                                                      Pair("pattern_too_costly:costly", 1)));
  }
}

TEST_F(CurationTest, DropsWhatOverlapsAnEvaluationSet) {
  MustImport(Header("exam"), Stories(0, 5));
  const std::string part = Story(2).substr(0, 150);
  const v1::DatasetVersion version = MustImport(
      Curated([](v1::CurationSpec* spec) { spec->mutable_contamination()->add_against("exam"); }),
      Row("As it says: " + part) + Stories(10, 12));
  EXPECT_THAT(version.dropped(), UnorderedElementsAre(Pair("contamination", 1)));
  EXPECT_EQ(version.curation().contamination().against(0), "exam@1");
  const std::vector<v1::Finding> findings = Findings("docs");
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_THAT(findings[0].evidence(), HasSubstr("exam@1 "));
}

TEST_F(CurationTest, SaysThatNothingIsLeft) {
  const std::set<std::string> before = storage_.Tree("datasets");
  const Status status =
      ImportText(catalog_,
                 Curated([](v1::CurationSpec* spec) { spec->mutable_length()->set_min(1000); }),
                 TextRows(0, 3))
          .status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("none of the 3 usable rows over: too_short (3)"));
}

TEST_F(CurationTest, RefusesWhatCannotBeFollowed) {
  const auto field = [&](const std::function<void(v1::CurationSpec*)>& set) {
    const Status status = catalog_.StartImport(Curated(set)).status();
    EXPECT_FALSE(status.ok());
    return status.field();
  };
  EXPECT_EQ(field([](auto* spec) { spec->mutable_near_duplicates()->set_threshold(0.1); }),
            "spec.curation.near_duplicates.threshold");
  EXPECT_EQ(field([](auto* spec) { spec->mutable_languages()->add_keep("xx"); }),
            "spec.curation.languages.keep");
  EXPECT_EQ(field([](auto* spec) {
              spec->add_patterns()->set_name("emial");
              spec->mutable_patterns(0)->set_action("drop");
            }),
            "spec.curation.patterns");
  EXPECT_EQ(field([](auto* spec) { spec->mutable_contamination()->add_against("none"); }),
            "spec.curation.contamination.against");
}

TEST_F(CurationTest, SaysThatTheListIsDamaged) {
  MustImport(Curated([](v1::CurationSpec* spec) { spec->mutable_length()->set_min(6); }),
             TextRows(0, 12));
  ASSERT_THAT(Findings("docs"), SizeIs(10));
  Damage("datasets/docs/1/findings.jsonl");
  v1::ListFindingsRequest request;
  request.set_dataset("docs");
  EXPECT_EQ(catalog_.ListFindings(request).status().code(), StatusCode::kDataLoss);
  request.set_page_token("x");
  EXPECT_EQ(catalog_.ListFindings(request).status().field(), "page_token");
}

}  // namespace
}  // namespace attune::datasets
