// `attune dataset check`, and the gate of each job, through processes.

#include <gmock/gmock.h>

#include <filesystem>

#include "tests/cluster/harness.h"

namespace attune::cluster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// ChatML whose marked blocks end before the end of the turn does.
constexpr const char* kForgetsTheEnd =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

class DatasetCheckTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(cluster_.Up(1));
    ASSERT_NO_FATAL_FAILURE(cluster_.ImportTiny());
    std::string rows;
    for (int i = 0; i < 30; ++i) rows += Chat(i, "What is " + std::to_string(i) + "?");
    Import("chats", rows);
  }

  static std::string Chat(int i, const std::string& question) {
    const Json row = {{"messages",
                       {{{"role", "user"}, {"content", question}},
                        {{"role", "assistant"}, {"content", "It is " + std::to_string(i)}}}}};
    return row.dump() + "\n";
  }

  void Import(const std::string& name, const std::string& rows) {
    const Finished imported = cluster_.Attune(
        {"dataset", "import", name, cluster_.Write("in/" + name + ".jsonl", rows).string(),
         "--validation", "0.3"});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
  }

  // "tiny" with another chat template.
  void ImportWithTemplate(const std::string& name, const std::string& chat_template) {
    const std::filesystem::path folder = cluster_.home() / name;
    ASSERT_TRUE(testing::WriteTinyLlama(folder).ok());
    cluster_.Write(name + "/chat_template.jinja", chat_template);
    const Finished imported = cluster_.Attune({"model", "import", name, folder.string()});
    ASSERT_EQ(imported.exit_code, 0) << imported.err;
  }

  Cluster cluster_;
};

TEST_F(DatasetCheckTest, SaysWhatIsLearned) {
  const Finished checked = cluster_.Attune(
      {"dataset", "check", "chats", "--base", "tiny", "--set", "train.sequence_length=256"});
  ASSERT_EQ(checked.exit_code, 0) << checked.out << checked.err;
  for (const char* text : {"whole examples teach the model to stop", "none is cut or left out",
                           "no training example is in a validation split", "⟦It is ",
                           "prompts are served in the tokens they were trained on"}) {
    EXPECT_THAT(checked.out, HasSubstr(text));
  }
  const Json plan = cluster_.AttuneJson(
      {"dataset", "check", "chats", "--base", "tiny", "--set", "train.sequence_length=256"});
  const Json& check = plan["check"];
  EXPECT_EQ(check["whole"], plan["examples"]);
  EXPECT_EQ(check["ends_learned"], plan["examples"]);
  EXPECT_EQ(check["served_otherwise"], 0);
  EXPECT_EQ(check["compared"], plan["examples"]);
  int counted = 0;
  for (const Json& bin : check["lengths"]) counted += bin["examples"].get<int>();
  EXPECT_EQ(counted, plan["examples"]);
  EXPECT_TRUE(check["problems"].empty());
}

TEST_F(DatasetCheckTest, DataThatTeachesNoEndIsRefused) {
  ASSERT_NO_FATAL_FAILURE(ImportWithTemplate("endless", kForgetsTheEnd));
  const std::string spec =
      "name: endless\nbase: endless\ndataset: chats\nmethod: full\n"
      "train: {max_steps: 1, sequence_length: 256}\n";
  const std::string file = cluster_.Write("endless.yaml", spec).string();
  const Finished checked = cluster_.Attune({"dataset", "check", "--job", file});
  EXPECT_EQ(checked.exit_code, 1);
  EXPECT_THAT(checked.out, HasSubstr("teaches the model to stop"));

  const Json refused = cluster_.WaitForEnd(cluster_.Submit(spec));
  EXPECT_EQ(refused["state"], "FAILED");
  EXPECT_THAT(refused["reason"].get<std::string>(), HasSubstr("train.require_end"));
  EXPECT_EQ(refused.value("restarts", 0), 0) << "the user's data is not tried again";

  const Finished allowed = cluster_.Attune(
      {"job", "submit", file, "--set", "train.require_end=false", "--watch", "-o", "json"});
  EXPECT_EQ(allowed.exit_code, 0) << allowed.err;
}

TEST_F(DatasetCheckTest, PreferencePairsAreNotLearned) {
  std::string rows;
  for (int i = 0; i < 30; ++i) {
    rows += Json{{"prompt", "q" + std::to_string(i)}, {"chosen", "a"}, {"rejected", "b"}}.dump();
    rows += "\n";
  }
  Import("pairs", rows);
  const std::string why = "only task: preference learns from them";
  const Finished only = cluster_.Attune({"dataset", "check", "pairs", "--base", "tiny"});
  EXPECT_NE(only.exit_code, 0);
  EXPECT_THAT(only.err, HasSubstr("pairs@1 has only preference pairs: " + why));

  for (int i = 0; i < 30; ++i) rows += Chat(i, "What is " + std::to_string(i) + "?");
  Import("both", rows);
  const Finished both = cluster_.Attune({"dataset", "check", "both", "--base", "tiny"});
  EXPECT_NE(both.exit_code, 0);
  EXPECT_THAT(both.out + both.err, HasSubstr("preference pairs: " + why));
}

TEST_F(DatasetCheckTest, AnExampleOnBothSidesIsNamed) {
  // In one data set all of it is trained on that another holds out.
  std::string rows;
  for (int i = 0; i < 30; ++i) rows += Chat(i, "What is " + std::to_string(i) + "?");
  const Finished imported =
      cluster_.Attune({"dataset", "import", "again",
                       cluster_.Write("in/again.jsonl", rows).string(), "--validation", "0"});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  const Json held = cluster_.AttuneJson({"dataset", "show", "chats"});
  const std::string file = cluster_
                               .Write("both.yaml",
                                      "base: tiny\ndataset: [chats, again]\nmethod: full\n"
                                      "train: {sequence_length: 256}\n")
                               .string();
  const Json plan = cluster_.AttuneJson({"dataset", "check", "--job", file});
  EXPECT_GT(plan["check"]["leaked"], 0);
  EXPECT_EQ(plan["check"]["leaked"], held["examples"]["validation"]);
  EXPECT_THAT(plan["check"]["warnings"].dump(), HasSubstr("validation split, too"));
}

}  // namespace
}  // namespace attune::cluster
