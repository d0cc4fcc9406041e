// Folders that appear as a whole, and what their cards say.

#include "worker/engine/tasks/output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"
#include "worker/engine/tasks/model_card.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

class WriteFolderTest : public ::testing::Test {
 protected:
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  Status Write(uint32_t generation, const Status& outcome = Status()) const {
    return WriteFolder(folder_.path() / "out", generation, [&](const fs::path& path) {
      std::ofstream(path / "file") << generation;
      return outcome;
    });
  }

  TemporaryFolder folder_;
};

TEST_F(WriteFolderTest, RemovesWhatEarlierAttemptsLeftAndNotWhatALaterOneWrites) {
  for (const char* name : {".out.tmp.1", ".out.tmp.3", ".out.tmp.x", ".other.tmp.1"}) {
    fs::create_directories(folder_.path() / name / "inside");
  }
  ASSERT_TRUE(Write(2).ok());
  EXPECT_THAT(Names(), UnorderedElementsAre("out", ".out.tmp.3", ".out.tmp.x", ".other.tmp.1"));
}

// Generations of two jobs that export to one place are counted apart.
TEST_F(WriteFolderTest, RemovesAllThatIsUnfinishedWhereAsked) {
  for (const char* name : {".out.tmp.1", ".out.tmp.3", "out", ".other.tmp.1"}) {
    fs::create_directories(folder_.path() / name / "inside");
  }
  RemoveUnfinished(folder_.path() / "out", UINT32_MAX);
  EXPECT_THAT(Names(), UnorderedElementsAre("out", ".other.tmp.1"));
}

TEST_F(WriteFolderTest, LeavesNothingWhereItFails) {
  EXPECT_THAT(Write(1, Internal("no")).message(), HasSubstr("no"));
  EXPECT_THAT(Names(), IsEmpty());
}

// What somebody put there while it was written stays.
TEST_F(WriteFolderTest, TakesTheNameOfAnEmptyFolderAlone) {
  fs::create_directories(folder_.path() / "out");
  EXPECT_TRUE(Write(1).ok());
  const Status second = Write(2);
  EXPECT_FALSE(second.ok());
  EXPECT_THAT(second.message(), HasSubstr("rename to"));
  std::ifstream in(folder_.path() / "out" / "file");
  int generation = 0;
  EXPECT_TRUE(in >> generation);
  EXPECT_EQ(generation, 1);
}

json Lineage(const json& settings) {
  return {{"base", "b@1"}, {"base_model", "org/b"}, {"settings", settings}};
}

TEST(ModelCard, NamesTheClassThatLoadsIt) {
  const ModelFiles root{.reference = "b@1", .format = "huggingface"};
  const std::string plain = ModelCard(Lineage(json::object()), root, false);
  EXPECT_THAT(plain, HasSubstr("pipeline_tag: text-generation\n"));
  EXPECT_THAT(plain, HasSubstr("AutoModelForCausalLM.from_pretrained(folder)"));
  const std::string translator = ModelCard(Lineage({{"task", {{"type", "seq2seq"}}}}), root, false);
  EXPECT_THAT(translator, HasSubstr("AutoModelForSeq2SeqLM.from_pretrained(folder)"));
  EXPECT_THAT(translator, HasSubstr("| task | seq2seq |"));
  const json labels = {{"task", {{"type", "classification"}, {"labels", {"a", "b", "c"}}}}};
  const std::string adapter = ModelCard(Lineage(labels), root, true);
  EXPECT_THAT(adapter, HasSubstr("pipeline_tag: text-classification\n"));
  EXPECT_THAT(
      adapter,
      HasSubstr("AutoModelForSequenceClassification.from_pretrained(\"org/b\", num_labels=3)"));
  EXPECT_THAT(adapter, Not(HasSubstr("CausalLM")));
}

}  // namespace
}  // namespace attune::engine
