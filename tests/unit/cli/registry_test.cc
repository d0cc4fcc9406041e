#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/gates/gates.h"
#include "tests/unit/cli/cli_runner.h"
#include "tests/unit/cli/fake_coordinator.h"
#include "tests/unit/gates/facts.h"

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
  fake_.overtaken_imports = 1000;
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", file, "--append", "--timeout", "1s"}),
            kExitUnavailable);
  EXPECT_THAT(cli_.err(), HasSubstr("error: docs@2 was made"));
}

TEST_F(RegistryTest, DatasetImportChecksItsInput) {
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", folder_.path().string() + "/absent"}),
            kExitNotFound);
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", folder_.path()}), kExitUsage);
  EXPECT_THAT(cli_.err(), HasSubstr("is a folder"));
  std::string file = folder_.Write("a", "x");
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", file, "--validation", "1.5"}), kExitUsage);
}

TEST_F(RegistryTest, DatasetImportExpandsPatternsAndSendsEachFileOnce) {
  std::filesystem::create_directories(folder_.path() / "sub/.hidden");
  const std::string a = folder_.Write("a.jsonl", "a\n");
  folder_.Write("b.csv", "b\n");
  folder_.Write("sub/c.jsonl", "c\n");
  folder_.Write("sub/.hidden/d.jsonl", "d\n");
  const std::string folder = folder_.path();
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", folder + "/**/*.jsonl", a}), kExitOk)
      << cli_.err();
  EXPECT_EQ(fake_.uploaded(), "a\nc\n");
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", folder + "/*.[jc]s*"}), kExitOk) << cli_.err();
  EXPECT_EQ(fake_.uploaded(), "a\nb\n");
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", folder + "/*.xml"}), kExitNotFound);
  // A name that looks like a pattern is a name first.
  const std::string odd = folder_.Write("[x].jsonl", "odd\n");
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", odd}), kExitOk) << cli_.err();
  EXPECT_EQ(fake_.uploaded(), "odd\n");
}

TEST_F(RegistryTest, DatasetImportSendsSpecAndBuckets) {
  const std::string spec =
      folder_.Write("import.yaml", "format: csv\nmapping: {prompt: q, completion: a}\n");
  ASSERT_EQ(cli_.Run({"dataset", "import", "docs", "s3://live/in/*.csv", "--spec", spec, "--map",
                      "completion={b}", "--format", "jsonl"}),
            kExitOk)
      << cli_.err();
  const auto& header = fake_.import_header();
  ASSERT_EQ(header.uris_size(), 1);
  EXPECT_EQ(header.uris(0), "s3://live/in/*.csv");
  EXPECT_EQ(fake_.uploaded(), "");
  EXPECT_EQ(header.spec().format(), "jsonl");
  EXPECT_EQ(header.spec().mapping().at("prompt"), "q");
  EXPECT_EQ(header.spec().mapping().at("completion"), "{b}");
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", "s3://a/b", "--map", "promt=q"}), kExitUsage);
  EXPECT_THAT(cli_.err(), HasSubstr("did you mean 'prompt'?"));
  EXPECT_EQ(cli_.Run({"dataset", "import", "docs", "s3://a/b", "--spec", spec + "x"}),
            kExitNotFound);
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

TEST_F(RegistryTest, GenerateAsksSeveralAdapters) {
  fake_.events = {MakeEvent(1, "ended", "", MakeJob("job-submitted000", v1::Job::SUCCEEDED))};
  fake_.output = R"({"model":"alice@2","prompt":"a","text":"A"})"
                 "\n"
                 R"({"model":"m@1","prompt":"a","text":"B"})"
                 "\n";
  const std::string file = folder_.Write("p.jsonl", R"({"prompt": "c", "adapter": "carol"})"
                                                    "\n");
  ASSERT_EQ(cli_.Run({"model", "generate", "m", "--prompt", "a", "--prompts", file, "--adapter",
                      "alice", "--adapter", "m"}),
            kExitOk)
      << cli_.err();
  EXPECT_EQ(cli_.out(), "> alice@2: a\nA\n\n> m@1: a\nB\n");
  const v1::GenerateRequest generate = fake_.submits()[0].task().generate();
  std::vector<std::string> asked;
  for (const auto& input : generate.inputs()) asked.push_back(input.text() + "/" + input.adapter());
  EXPECT_EQ(asked, (std::vector<std::string>{"a/alice", "a/m", "c/carol"}));
  folder_.Write("p.jsonl", R"({"prompt": "c", "adapter": 3})");
  EXPECT_EQ(cli_.Run({"model", "generate", "m", "--prompts", file}), kExitUsage);
  EXPECT_THAT(cli_.err(), HasSubstr("p.jsonl:1: adapter must be the name of a model"));
}

TEST_F(RegistryTest, GenerateShowsAnswersInOrderWhileTheyAreMade) {
  fake_.jobs["job-submitted000"] = MakeJob("job-submitted000", v1::Job::SUCCEEDED);
  fake_.events = {MakeEvent(1, "ended", "", fake_.jobs["job-submitted000"])};
  fake_.output = R"({"prompt_index":0,"piece":"A "})"
                 "\n"
                 R"({"prompt_index":1,"piece":"B"})"
                 "\n"
                 R"({"prompt_index":0,"piece":"cat"})"
                 "\n"
                 R"({"prompt":"a","text":"A cat."})"
                 "\n"
                 R"({"prompt":"b","text":"Bo"})"
                 "\n";
  const std::vector<std::string> command = {"model",    "generate", "m",        "--prompt", "a",
                                            "--prompt", "b",        "--stream", "--stop",   "END",
                                            "--stop",   "\n\n",     "--batch",  "2"};
  ASSERT_EQ(cli_.Run(command), kExitOk) << cli_.err();
  EXPECT_EQ(cli_.out(), "> a\nA cat.\n\n> b\nBo\n");
  const v1::GenerateRequest generate = fake_.submits()[0].task().generate();
  EXPECT_TRUE(generate.stream());
  EXPECT_EQ(generate.batch(), 2u);
  ASSERT_EQ(generate.stop_size(), 2);
  EXPECT_EQ(generate.stop(1), "\n\n");
  EXPECT_EQ(cli_.Run({"model", "generate", "m", "--prompt", "a", "--stream", "-o", "json"}),
            kExitUsage);
}

TEST_F(RegistryTest, AnswersThatAreMissingAreAnError) {
  fake_.jobs["job-submitted000"] = MakeJob("job-submitted000", v1::Job::SUCCEEDED);
  fake_.events = {MakeEvent(1, "ended", "", fake_.jobs["job-submitted000"])};
  fake_.output = R"({"prompt_index":0,"piece":"one"})"
                 "\n";
  EXPECT_EQ(cli_.Run({"model", "generate", "m", "--prompt", "a", "--stream"}), kExitFailed);
  EXPECT_EQ(cli_.out(), "one\n");
  EXPECT_THAT(cli_.err(), HasSubstr("job-submitted000 ended before all answers were there"));
}

// What was shown already comes again, in other pieces, and is not shown twice.
TEST_F(RegistryTest, AnswersThatAreMadeAgainAreShownOnce) {
  fake_.jobs["job-submitted000"] = MakeJob("job-submitted000", v1::Job::SUCCEEDED);
  fake_.events = {MakeEvent(1, "ended", "", fake_.jobs["job-submitted000"])};
  v1::OutputChunk& lost = fake_.output_chunks.emplace_back();
  lost.set_generation(1);
  lost.set_data(R"({"prompt_index":0,"piece":"one two"})"
                "\n"
                R"({"prompt_ind)");
  fake_.output = R"({"prompt_index":0,"piece":"one"})"
                 "\n"
                 R"({"prompt_index":0,"piece":" two three"})"
                 "\n"
                 R"({"prompt":"a","text":"one two three"})"
                 "\n";
  ASSERT_EQ(cli_.Run({"model", "generate", "m", "--prompt", "a", "--stream"}), kExitOk)
      << cli_.err();
  EXPECT_EQ(cli_.out(), "one two three\n");
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

class EvaluateCommandTest : public RegistryTest {
 protected:
  void SetUp() override {
    RegistryTest::SetUp();
    fake_.events = {MakeEvent(1, "ended", "", MakeJob("job-submitted000", v1::Job::SUCCEEDED))};
    for (const auto& [id, loss, tokens, f1, language] :
         {std::tuple("1", 4.0, 2, 1.0, "en"), std::tuple("2", 2.0, 4, 0.5, "de"),
          std::tuple("3", 6.0, 6, 0.0, "en")}) {
      const json line = {{"suite", "docs"},
                         {"id", std::string(31, '0') + id},
                         {"loss_sum", loss},
                         {"target_tokens", tokens},
                         {"slices", {{"language", language}}},
                         {"scores", {{"token_f1", f1}}}};
      fake_.output += json{{"example", line}}.dump() + "\n";
    }
    fake_.output +=
        R"({"artifact":{"bytes":2048,"parameters":1000,"dtype":"float32","checksum":"c",)"
        R"("tokens_per_second":12.5,"first_token_seconds":0.25,)"
        R"("device":"NVIDIA H100","precision":"bfloat16"}})"
        "\n";
  }
};

TEST_F(EvaluateCommandTest, AsksForWhatWasTyped) {
  const std::string schema = folder_.Write("schema.json", "{\"type\": \"object\"}");
  ASSERT_EQ(cli_.Run({"model",
                      "evaluate",
                      "m",
                      "--dataset",
                      "docs",
                      "--dataset",
                      "quiz@2",
                      "--metric",
                      "rouge_l",
                      "--metric",
                      "regex=a=b",
                      "--metric",
                      "json_schema=" + schema,
                      "--metric",
                      "judge=half",
                      "--metric",
                      "accuracy=yes,no",
                      "--slice",
                      "language",
                      "--max-examples",
                      "7",
                      "--split",
                      "train",
                      "--unmerged",
                      "--dtype",
                      "bfloat16",
                      "-o",
                      "jsonl"}),
            kExitOk)
      << cli_.err();
  EXPECT_EQ(cli_.out(), fake_.output);
  EXPECT_EQ(fake_.submits()[0].kind(), v1::Job::EVALUATE);
  const v1::EvaluateRequest request = fake_.submits()[0].task().evaluate();
  EXPECT_EQ(request.model(), "m");
  EXPECT_FALSE(request.merge());
  EXPECT_EQ(request.dtype(), "bfloat16");
  ASSERT_EQ(request.suites_size(), 2);
  const v1::Suite& suite = request.suites(1);
  EXPECT_EQ(suite.name(), "quiz@2");
  EXPECT_EQ(suite.dataset(), "quiz@2");
  EXPECT_EQ(suite.split(), "train");
  EXPECT_EQ(suite.max_examples(), 7u);
  EXPECT_EQ(suite.max_tokens(), 128u);
  EXPECT_EQ(suite.slices(0), "language");
  ASSERT_EQ(suite.metrics_size(), 5);
  EXPECT_EQ(suite.metrics(1).pattern(), "a=b");
  EXPECT_EQ(suite.metrics(2).schema(), "{\"type\": \"object\"}");
  EXPECT_EQ(suite.metrics(3).judge(), "half");
  EXPECT_EQ(suite.metrics(4).labels_size(), 2);
  EXPECT_EQ(suite.metrics(4).labels(1), "no");
}

TEST_F(EvaluateCommandTest, PrintsWhatTheExamplesComeTo) {
  const std::vector<std::string> command = {"model",    "evaluate", "m",       "--dataset", "docs",
                                            "--metric", "token_f1", "--slice", "language"};
  ASSERT_EQ(cli_.Run(command), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("1.0000"));  // 12 nats of 12 tokens
  EXPECT_THAT(cli_.out(), HasSubstr("0.5000"));
  EXPECT_THAT(cli_.out(), HasSubstr("language=de"));
  EXPECT_THAT(cli_.out(), HasSubstr("2 KiB, 1000 parameters, float32; measured in bfloat16 on "
                                    "NVIDIA H100; 12.5 tokens/s"));
  std::vector<std::string> as_json = command;
  as_json.insert(as_json.end(), {"-o", "json"});
  ASSERT_EQ(cli_.Run(as_json), kExitOk) << cli_.err();
  const json report = json::parse(cli_.out());
  EXPECT_EQ(report["model"], "m");
  EXPECT_EQ(report["artifact"]["bytes"], 2048);
  EXPECT_EQ(report["artifact"]["device"], "NVIDIA H100");
  EXPECT_EQ(report["artifact"]["precision"], "bfloat16");
  ASSERT_EQ(report["results"].size(), 6u);
  EXPECT_EQ(report["results"][0],
            json({{"suite", "docs"}, {"metric", "loss"}, {"value", 1.0}, {"examples", 3}}));
  EXPECT_EQ(report["results"][1]["value"], 0.5);
  EXPECT_EQ(report["results"][4]["slice_value"], "en");
  EXPECT_EQ(report["results"][4]["value"], 1.25);  // 10 nats of 8 tokens
  EXPECT_EQ(report["results"][5]["value"], 0.5);
}

// What a schedule's gates say of the same lines, they say.
TEST_F(EvaluateCommandTest, MeasuresAsGatesDo) {
  gates::FactsBuilder builder;
  builder.AddLosses("docs", 40, 2.0, 0.0);
  std::string output;
  for (v1::ExampleFacts& example : *builder.facts().mutable_candidate()->mutable_examples()) {
    const json line = {{"suite", example.suite()},
                       {"id", example.id()},
                       {"loss_sum", example.loss_sum()},
                       {"target_tokens", example.target_tokens()}};
    output += json{{"example", line}}.dump() + "\n";
    example.set_suite("goal");
  }
  fake_.output = output + R"({"artifact":{"bytes":2048,"dtype":"float32"}})" + "\n";
  builder.facts().mutable_proofs(0)->set_suite("goal");
  builder.NoChampion();
  builder.AskMax("loss", 3.0);
  const v1::GateReport report = *gates::Decide(builder.facts());
  const v1::GateResult& goal = report.gates(1);

  const std::vector<std::string> command = {"model", "evaluate", "m", "--dataset", "docs"};
  std::vector<std::string> as_json = command;
  as_json.insert(as_json.end(), {"--metric", "validation_loss", "-o", "json"});
  ASSERT_EQ(cli_.Run(as_json), kExitOk) << cli_.err();
  const v1::EvaluateRequest request = fake_.submits()[0].task().evaluate();
  EXPECT_TRUE(request.merge());
  EXPECT_EQ(request.suites(0).max_examples(), 1000u);
  EXPECT_EQ(request.suites(0).metrics(0).name(), "loss");
  const json results = json::parse(cli_.out())["results"];
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0]["metric"], "loss");
  EXPECT_NEAR(results[0]["value"], goal.value(), 1e-9);
  EXPECT_NEAR(results[0]["lower"], goal.lower(), 0.02);  // of another seed
  EXPECT_NEAR(results[0]["upper"], goal.upper(), 0.02);
  EXPECT_GT(results[0]["upper"], results[0]["value"]);
  EXPECT_EQ(results[0]["confidence"], 0.95);
  EXPECT_EQ(results[0]["method"], goal.method());
  ASSERT_EQ(cli_.Run(command), kExitOk);
  EXPECT_THAT(cli_.out(), HasSubstr("AT MOST"));
  EXPECT_THAT(cli_.out(), HasSubstr("each alone is 95 % sure"));
}

TEST_F(EvaluateCommandTest, RefusesWhatIsNoMetric) {
  EXPECT_EQ(cli_.Run({"model", "evaluate", "m"}), kExitUsage);
  EXPECT_THAT(cli_.err(), HasSubstr("--dataset"));
  EXPECT_EQ(cli_.Run({"model", "evaluate", "m", "--dataset", "d", "--metric", "bleu"}), kExitUsage);
  EXPECT_THAT(cli_.err(), HasSubstr("there are loss"));
  EXPECT_EQ(cli_.Run({"model", "evaluate", "m", "--dataset", "d", "--metric", "rouge_l=1"}),
            kExitUsage);
  EXPECT_EQ(cli_.Run({"model", "evaluate", "m", "--dataset", "d", "--metric",
                      "json_schema=/no/such/file"}),
            kExitNotFound);
  EXPECT_TRUE(fake_.submits().empty());
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

TEST_F(RegistryTest, ExportSaysHowAMergeMovedTheOutputs) {
  fake_.events = {MakeEvent(1, "ended", "", MakeJob("job-submitted000", v1::Job::SUCCEEDED))};
  auto said = [&](const std::string& moved) {
    fake_.output = R"({"folder":"f","dtype":"float32","moved":)" + moved + "}";
    EXPECT_EQ(cli_.Run({"model", "export", "m", folder_.path().string() + "/new", "--merge"}),
              kExitOk)
        << cli_.err();
    return cli_.err();
  };
  EXPECT_THAT(said(R"({"examples":9,"tokens":512,"source":"validation of docs@3",
      "loss_before":2.31412,"loss_after":2.31428,"kl":1.2e-5,"same_top_token":0.998,
      "largest_logit_difference":0.01})"),
              HasSubstr("merged outputs: loss 2.3141 -> 2.3143, KL 1.2e-05 nats, same top token "
                        "99.8 % (512 tokens of validation of docs@3)\n"));
  EXPECT_THAT(said(R"({"examples":64,"tokens":900,"source":"validation of moods@1",
      "same_label":1.0,"largest_logit_difference":0.002})"),
              HasSubstr("merged outputs: same label 100.0 %, logits at most 0.002 apart (64 texts "
                        "of validation of moods@1)\n"));
  EXPECT_THAT(said(R"({"examples":16,"tokens":300,"source":"built-in sentences",
      "least_cosine":0.99999,"largest_difference":0.001})"),
              HasSubstr("cosine at least 0.99999, numbers at most 0.001 apart (16 texts of "
                        "built-in sentences)\n"));
  EXPECT_THAT(said(R"({"error":"no room"})"),
              HasSubstr("the merged model was not compared: no room\n"));
}

TEST_F(RegistryTest, NodeList) {
  ASSERT_EQ(cli_.Run({"node", "list"}), kExitOk) << cli_.err();
  EXPECT_THAT(cli_.out(), HasSubstr("worker-1  READY"));
}

}  // namespace
}  // namespace attune::cli
