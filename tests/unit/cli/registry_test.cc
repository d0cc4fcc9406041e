#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/cli/cli_runner.h"
#include "tests/unit/cli/fake_coordinator.h"

namespace attune::cli {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() : cli_(fake_.address()) {}
  FakeCoordinator fake_;
  CliRunner cli_;
  TemporaryFolder folder_;
};

TEST_F(RegistryTest, DatasetImportSendsEveryByteOfEveryFile) {
  std::string big(1500000, 'x');
  std::string a = folder_.Write("a.jsonl", big + "\n"),
              b = folder_.Write("b.jsonl", "{\"text\": \"b\"}\n");
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", a, b, "-o", "json"}), kExitOk) << cli_.err();
  EXPECT_EQ(fake_.uploaded(), big + "\n{\"text\": \"b\"}\n");
  EXPECT_EQ(json::parse(cli_.out())["examples"]["train"], 2);
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", "-", "-o", "name"}, "{\"text\": \"in\"}\n"),
            kExitOk);
  EXPECT_EQ(cli_.out(), "docs@1\n");
  EXPECT_EQ(fake_.uploaded(), "{\"text\": \"in\"}\n");
}

TEST_F(RegistryTest, DatasetCardNamesIgnoredKeys) {
  std::string file = folder_.Write("a.jsonl", "{\"text\": \"a\"}\n");
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", file}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("id (300 rows), source (1 row)"));
}

TEST_F(RegistryTest, DatasetImportAppendsAndKeepsUnlabelledRows) {
  const std::string file = folder_.Write("a.jsonl", "{\"text\": \"a\"}\n");
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", file}), kExitOk) << cli_.err();
  EXPECT_FALSE(fake_.import_header().append());
  EXPECT_FALSE(fake_.import_header().allow_unlabelled());
  EXPECT_FALSE(fake_.import_header().has_validation_fraction());
  EXPECT_THAT(cli_.out(), Not(HasSubstr("Appended to")));
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", file, "--append", "--allow-unlabelled"}),
            kExitOk)
      << cli_.err();
  EXPECT_TRUE(fake_.import_header().append());
  EXPECT_TRUE(fake_.import_header().allow_unlabelled());
  EXPECT_THAT(cli_.out(), HasSubstr("2 train, 0 validation, 3 unlabelled"));
  EXPECT_THAT(cli_.out(), HasSubstr("docs@0"));
  EXPECT_THAT(cli_.out(), HasSubstr("language (1 example)"));
}

TEST_F(RegistryTest, AnOvertakenAppendIsMadeAgain) {
  const std::string file = folder_.Write("a.jsonl", "{\"text\": \"a\"}\n");
  fake_.overtaken_imports = 1;
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", file, "--append"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.err(), HasSubstr("docs@2 was made, retrying"));
}

TEST_F(RegistryTest, DatasetImportChecksItsInput) {
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", folder_.path().string() + "/absent"}),
            kExitNotFound);
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", folder_.path()}), kExitUsage);
  EXPECT_THAT(cli_.err(), HasSubstr("is a folder"));
  std::string file = folder_.Write("a", "x");
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", file, "--validation", "1.5"}), kExitUsage);
}

TEST_F(RegistryTest, ModelImportSendsAnAbsolutePath) {
  std::string file = folder_.Write("m.gguf", "x");
  std::filesystem::path here = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  int code = cli_.Run({"model", "import", "m", "m.gguf", "-o", "json"});
  std::filesystem::current_path(here);
  ASSERT_EQ(code, kExitOk) << cli_.err();
  EXPECT_EQ(json::parse(cli_.out())["lineage"]["source"],
            std::filesystem::canonical(file).string());
  EXPECT_THAT(cli_.err(), HasSubstr("copying 1"));
  EXPECT_EQ(cli_.Run({"model", "import", "m", folder_.path().string() + "/absent"}), kExitNotFound);
  EXPECT_EQ(cli_.Run({"model", "show", "nope"}), kExitNotFound);
}

TEST_F(RegistryTest, GenerateSendsPromptsAndPrintsAnswers) {
  fake_.events = {MakeEvent(1, "ended", "", MakeJob("job-submitted000", v1::Job::SUCCEEDED))};
  fake_.output = "{\"prompt\":\"a\",\"text\":\"A\"}\n{\"prompt\":\"b\",\"text\":\"B\"}\n";
  std::string file = folder_.Write("p.jsonl", "{\"prompt\": \"a\"}\n\n\"b\"\n");
  ASSERT_EQ(cli_.Run({"model", "generate", "m", "--prompts", file, "--max-tokens", "9",
                      "--temperature", "0", "-o", "jsonl"}),
            kExitOk)
      << cli_.err();
  EXPECT_EQ(cli_.out(), fake_.output);
  const v1::GenerateRequest generate = fake_.submits()[0].task().generate();
  ASSERT_EQ(generate.inputs_size(), 2);
  EXPECT_EQ(generate.inputs(0).text(), "a");
  EXPECT_EQ(generate.inputs(1).text(), "b");
  EXPECT_EQ(generate.max_tokens(), 9u);
  EXPECT_EQ(fake_.submits()[0].kind(), v1::Job::GENERATE);
}

TEST_F(RegistryTest, GenerateTakesConversations) {
  fake_.events = {MakeEvent(1, "ended", "", MakeJob("job-submitted000", v1::Job::SUCCEEDED))};
  fake_.output = R"({"messages":[{"role":"user","content":"2 + 2?"}],"text":"4"})"
                 "\n"
                 R"({"prompt":"b","text":"B"})"
                 "\n";
  const std::string file = folder_.Write(
      "p.jsonl",
      R"({"messages": [{"role": "user", "content": "2 + 2?"}], "tools": [{"name": "add"}]})"
      "\n");
  ASSERT_EQ(cli_.Run({"model", "generate", "m", "--prompts", file, "--prompt", "b", "--system",
                      "Be brief.", "--precision", "bfloat16"}),
            kExitOk)
      << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("> 2 + 2?\n4\n"));
  const v1::GenerateRequest generate = fake_.submits()[0].task().generate();
  ASSERT_EQ(generate.inputs_size(), 2);
  EXPECT_EQ(generate.inputs(0).text(), "b");
  EXPECT_EQ(json::parse(generate.inputs(1).messages())[0]["content"], "2 + 2?");
  EXPECT_EQ(json::parse(generate.inputs(1).tools())[0]["name"], "add");
  EXPECT_EQ(generate.system(), "Be brief.");
  EXPECT_EQ(generate.precision(), "bfloat16");
  EXPECT_EQ(cli_.Run({"model", "generate", "m", "--prompt", "b", "--precision", "int4"}),
            kExitUsage);
}

TEST_F(RegistryTest, GenerateNamesABadPromptLine) {
  std::string file = folder_.Write("p.jsonl", "\"ok\"\n{\"promt\": 1}\n");
  EXPECT_EQ(cli_.Run({"model", "generate", "m", "--prompts", file}), kExitUsage);
  EXPECT_THAT(cli_.err(), HasSubstr("p.jsonl:2: not a prompt"));
  EXPECT_EQ(cli_.Run({"model", "generate", "m"}), kExitUsage);
  EXPECT_EQ(cli_.Run({"model", "generate", "m", "--prompt", "x", "--temperature", "-1"}),
            kExitUsage);
}

TEST_F(RegistryTest, FailedTaskSaysWhy) {
  v1::Job job = MakeJob("job-submitted000", v1::Job::FAILED);
  job.set_reason("out of memory");
  fake_.events = {MakeEvent(1, "ended", "", job)};
  EXPECT_EQ(cli_.Run({"model", "generate", "m", "--prompt", "x"}), kExitFailed);
  EXPECT_THAT(cli_.err(), HasSubstr("error: out of memory (job-submitted000"));
}

TEST_F(RegistryTest, ExportRefusesAFolderThatIsNotEmpty) {
  folder_.Write("there", "x");
  EXPECT_EQ(cli_.Run({"model", "export", "m", folder_.path()}), kExitConflict);
  EXPECT_TRUE(fake_.submits().empty());
  fake_.events = {MakeEvent(1, "ended", "", MakeJob("job-submitted000", v1::Job::SUCCEEDED))};
  fake_.output = R"({"folder":"f","dtype":"bfloat16","note":"the base is a GGUF file"})";
  ASSERT_EQ(cli_.Run({"model", "export", "m", folder_.path().string() + "/new", "--merge",
                      "--dtype", "bfloat16"}),
            kExitOk)
      << cli_.err();
  EXPECT_THAT(cli_.err(), HasSubstr("the base is a GGUF file"));
  EXPECT_EQ(fake_.submits()[0].task().export_().dtype(), "bfloat16");
  EXPECT_EQ(cli_.out(), folder_.path().string() + "/new\n");
  EXPECT_TRUE(fake_.submits()[0].task().export_().merge());
}

TEST_F(RegistryTest, NodeList) {
  ASSERT_EQ(cli_.Run({"node", "list"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("worker-1  READY"));
}

}  // namespace
}  // namespace attune::cli
