#include "coordinator/drift/samples.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "coordinator/drift/profile.h"
#include "coordinator/drift/text.h"
#include "coordinator/store/database.h"
#include "tests/support/temporary_folder.h"

namespace attune::drift {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

std::string IdOf(int i) {
  std::string id = std::to_string(i);
  return std::string(32 - id.size(), '0') + id;
}

std::string Line(int i, double loss) {
  const float embedding[2] = {static_cast<float>(i), 0.5f};
  return json({{"id", IdOf(i)},
               {"tokens", 10 + i},
               {"loss", loss},
               {"entropy", 1.5},
               {"embedding",
                EncodeBytes({reinterpret_cast<const char*>(embedding), sizeof embedding})}})
      .dump();
}

std::string Row(int i, const std::string& kind, const std::string& language) {
  json row = {{"id", IdOf(i)}, {"kind", kind}};
  row[kind == "prompt" ? "prompt" : "text"] = "Words of " + std::to_string(i);
  if (!language.empty()) row["metadata"] = {{"language", language}};
  return row.dump();
}

ForEachLine Lines(std::vector<std::string> lines) {
  return [lines = std::move(lines)](const TakeLine& take) -> Status {
    for (const std::string& line : lines) ATTUNE_RETURN_IF_ERROR(take(line));
    return Status();
  };
}

TEST(SampleBuilder, TakesLinesAndTheRowsOfTheSameExamples) {
  SampleBuilder builder({"language"});
  ASSERT_TRUE(builder
                  .Add(Lines({Line(1, 2.0), Line(2, 3.0)}),
                       Lines({Row(2, "text", "en"), Row(3, "text", "de"), Row(1, "prompt", "")}))
                  .ok());
  Result<Sample> sample = builder.Finish();
  ASSERT_TRUE(sample.ok()) << sample.status().ToString();
  EXPECT_EQ(sample->dimension, 2);
  EXPECT_THAT(sample->embeddings, ElementsAre(1, 0.5, 2, 0.5));
  EXPECT_THAT(sample->lengths, ElementsAre(11, 12));
  EXPECT_THAT(sample->losses, ElementsAre(2.0, 3.0));
  EXPECT_THAT(sample->entropies, ElementsAre(1.5, 1.5));
  EXPECT_THAT(sample->labelled_losses, ElementsAre(3.0));  // the prompt has no answer
  EXPECT_THAT(sample->texts, ElementsAre("Words of 1", "Words of 2"));
  EXPECT_THAT(sample->categories["language"],
              UnorderedElementsAre(Pair("en", 1), Pair("(none)", 1)));
}

// However few they are: the loss of what was trained on is lower than any live loss.
TEST(SampleBuilder, LossesAreOfExamplesThatWereHeldOutAlone) {
  for (size_t held_out : {size_t{10}, size_t{60}}) {
    std::vector<std::string> lines, rows, ids;
    for (int i = 0; i < 100; ++i) {
      const bool is_held_out = static_cast<size_t>(i) < held_out;
      lines.push_back(Line(i, is_held_out ? 3.0 : 1.0));
      rows.push_back(Row(i, "text", ""));
      if (is_held_out) ids.push_back(IdOf(i));
    }
    SampleBuilder builder({});
    ASSERT_TRUE(builder.Add(Lines(lines), Lines(rows), Lines(ids)).ok());
    Result<Sample> sample = builder.Finish();
    ASSERT_TRUE(sample.ok());
    EXPECT_EQ(sample->losses, std::vector<double>(held_out, 3.0));
    EXPECT_EQ(sample->labelled_losses, std::vector<double>(held_out, 3.0));
    EXPECT_THAT(sample->entropies, SizeIs(held_out));
    EXPECT_THAT(sample->ids, SizeIs(100));
  }
}

TEST(SampleBuilder, AnExampleOfTwoPartsCountsOnce) {
  SampleBuilder builder({});
  ASSERT_TRUE(builder.Add(Lines({Line(1, 2.0)}), Lines({Row(1, "text", "")})).ok());
  ASSERT_TRUE(
      builder
          .Add(Lines({Line(1, 2.0), Line(2, 2.0)}), Lines({Row(1, "text", ""), Row(2, "text", "")}))
          .ok());
  Result<Sample> sample = builder.Finish();
  ASSERT_TRUE(sample.ok());
  EXPECT_THAT(sample->ids, SizeIs(2));
  EXPECT_THAT(sample->labelled_losses, SizeIs(2));
}

// JSON writers make null of a NaN; a single token has no loss.
TEST(SampleBuilder, ALossThatIsNoneIsNotTheBestLoss) {
  json null = json::parse(Line(1, 2.0)), single = json::parse(Line(2, 0.0));
  null["loss"] = nullptr;
  single["tokens"] = 1;
  SampleBuilder builder({});
  ASSERT_TRUE(builder
                  .Add(Lines({null.dump(), single.dump(), Line(3, 3.0)}),
                       Lines({Row(1, "text", ""), Row(2, "text", ""), Row(3, "text", "")}))
                  .ok());
  Result<Sample> sample = builder.Finish();
  ASSERT_TRUE(sample.ok()) << sample.status().ToString();
  EXPECT_THAT(sample->losses, ElementsAre(3.0));
  EXPECT_THAT(sample->labelled_losses, ElementsAre(3.0));
  EXPECT_THAT(sample->ids, SizeIs(3));
}

TEST(SampleBuilder, RefusesWhatIsNoLine) {
  for (const std::string& bad : {std::string("no json"), std::string("{}"),
                                 std::string(R"({"id": "a", "embedding": "AAA="})")}) {
    SampleBuilder builder({});
    EXPECT_EQ(builder.Add(Lines({bad}), Lines({})).code(), StatusCode::kDataLoss) << bad;
  }
  SampleBuilder two_sizes({});
  const float one[1] = {1};
  std::string other =
      json({{"id", IdOf(2)},
            {"tokens", 3},
            {"embedding", EncodeBytes({reinterpret_cast<const char*>(one), sizeof one})}})
          .dump();
  EXPECT_EQ(two_sizes.Add(Lines({Line(1, 2), other}), Lines({})).code(), StatusCode::kDataLoss);
  EXPECT_EQ(SampleBuilder({}).Finish().status().code(), StatusCode::kDataLoss);
}

TEST(ReadShardLine, JoinsAllThatAModelReads) {
  Result<RowFacts> row =
      ReadShardLine(R"({"id":"1","kind":"messages","messages":[{"role":"user","content":"Why?"},)"
                    R"({"role":"assistant","content":[{"type":"text","text":"Because."}]}]})");
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->text, "Why?\nBecause.");
  EXPECT_TRUE(row->labelled);
  row = ReadShardLine(R"({"id":"1","kind":"prompt_completion","prompt":"a","completion":"b"})");
  EXPECT_EQ(row->text, "a\nb");
  EXPECT_FALSE(ReadShardLine("[]").ok());
}

TEST(Profile, IsReadAsItWasWrittenOrNotAtAll) {
  TemporaryFolder folder;
  const std::filesystem::path path = folder.path() / "profiles" / "key";
  v1::ReferenceProfile of;
  of.set_model("m@1");
  of.add_datasets("docs@1");
  SampleBuilder builder({"language"});
  ASSERT_TRUE(builder.Add(Lines({Line(1, 2.0)}), Lines({Row(1, "text", "en")})).ok());
  Result<Sample> sample = builder.Finish();
  Result<std::string> sha256 = WriteProfile(path, of, *sample);
  ASSERT_TRUE(sha256.ok()) << sha256.status().ToString();
  Result<Sample> read = ReadProfile(path, *sha256);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->embeddings, sample->embeddings);
  EXPECT_EQ(read->dimension, 2);
  EXPECT_EQ(read->lengths, sample->lengths);
  EXPECT_EQ(read->losses, sample->losses);
  EXPECT_EQ(read->entropies, sample->entropies);
  EXPECT_EQ(read->labelled_losses, sample->labelled_losses);
  EXPECT_EQ(read->categories, sample->categories);
  EXPECT_EQ(read->words, sample->words);
  EXPECT_EQ(read->ids, sample->ids);
  EXPECT_EQ(ReadProfile(path, "another").status().code(), StatusCode::kDataLoss);
  EXPECT_EQ(ReadProfile(folder.path() / "none", *sha256).status().code(), StatusCode::kNotFound);
}

TEST(ProfileKey, FollowsFromWhatItIsOf) {
  v1::ReferenceProfile of;
  of.set_model("m@1");
  of.add_parts()->set_dataset("a@1");
  of.add_parts()->set_dataset("b@1");
  v1::ReferenceProfile turned = of;
  turned.mutable_parts()->SwapElements(0, 1);
  EXPECT_EQ(ProfileKey(of), ProfileKey(turned));
  v1::ReferenceProfile other = of;
  other.mutable_parts(0)->set_examples(7);
  EXPECT_NE(ProfileKey(of), ProfileKey(other));
  other = of;
  other.set_model("m@2");
  EXPECT_NE(ProfileKey(of), ProfileKey(other));
  other = of;
  other.add_categories("language");
  EXPECT_NE(ProfileKey(of), ProfileKey(other));
}

}  // namespace
}  // namespace attune::drift
