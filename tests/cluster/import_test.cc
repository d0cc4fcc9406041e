// Imports of every format through the command line, from files and from a bucket.

#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "tests/cluster/harness.h"
#include "tests/support/packed_files.h"
#include "tests/support/s3_server.h"

namespace attune::cluster {
namespace {

using ::testing::HasSubstr;

constexpr int kUsage = 2, kNotFound = 3;

constexpr char kRows[] =
    "{\"instruction\":\"Add.\",\"input\":\"2, \\\"2\\\"\",\"output\":\"4\",\"label\":\"sum\"}\n"
    "{\"instruction\":\"Say\\nhi.\",\"input\":\"\",\"output\":\"hi\",\"label\":\"talk\"}\n"
    "{\"instruction\":\"Name a prime.\",\"input\":\"\",\"output\":\"7\",\"label\":\"sum\"}\n";
constexpr char kTsv[] =
    "instruction\tinput\toutput\tlabel\nAdd.\t\"2, \"\"2\"\"\"\t4\tsum\n\"Say\nhi.\"\t\thi\ttalk\n"
    "Name a prime.\t\t7\tsum\n";
constexpr char kCsv[] =
    "instruction,input,output,label\r\nAdd.,\"2, \"\"2\"\"\",4,sum\r\n\"Say\nhi.\",,hi,talk\r\n"
    "Name a prime.,,7,sum\r\n";

// One cluster for all.
class ImportTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    cluster_ = new Cluster;
    cluster_->Use({{"AWS_ACCESS_KEY_ID", "test"},
                   {"AWS_SECRET_ACCESS_KEY", "test"},
                   {"AWS_EC2_METADATA_DISABLED", "true"}});
    ASSERT_NO_FATAL_FAILURE(cluster_->Up(1));
    std::filesystem::create_directories(cluster_->home() / "data/more");
    cluster_->Write("data/a.jsonl", kRows);
    cluster_->Write("data/b.jsonl.gz", Gzip(kRows));
    cluster_->Write("data/c.jsonl.zst", Zstd(kRows));
    cluster_->Write("data/d.csv", kCsv);
    cluster_->Write("data/more/e.csv.gz", Gzip(kCsv));
    cluster_->Write("data/g.tsv", kTsv);
    cluster_->Write("data/more/f.parquet", ParquetOfRows(kRows));
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }

  // The ids of a version's examples, from its shards.
  static std::set<std::string> Ids(const Json& version) {
    std::set<std::string> ids;
    for (const auto& entry :
         std::filesystem::directory_iterator(version["path"].get<std::string>())) {
      if (entry.path().extension() != ".jsonl") continue;
      std::ifstream lines(entry.path());
      for (std::string line; std::getline(lines, line);) ids.insert(Json::parse(line)["id"]);
    }
    return ids;
  }
  static Json Import(std::vector<std::string> arguments) {
    std::vector<std::string> command{"dataset", "import"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.insert(command.end(), {"-o", "json"});
    return cluster_->AttuneJson(command);
  }

  static Cluster* cluster_;
};
Cluster* ImportTest::cluster_ = nullptr;

TEST_F(ImportTest, TheSameRowsAreTheSameExamplesInEveryFormat) {
  const std::set<std::string> wanted = Ids(Import({"plain", (cluster_->home() / "data/a.jsonl")}));
  EXPECT_EQ(wanted.size(), 3u);
  for (const char* file :
       {"b.jsonl.gz", "c.jsonl.zst", "d.csv", "more/e.csv.gz", "more/f.parquet", "g.tsv"}) {
    const Json version = Import({"packed", (cluster_->home() / "data" / file)});
    EXPECT_EQ(Ids(version), wanted) << file;
    EXPECT_EQ(version["source_files"][0]["rows"], 3) << file;
    EXPECT_EQ(version["source_files"][0]["shape"], "instruction") << file;
  }
}

TEST_F(ImportTest, APatternIsExpandedAndWhatWasFoundIsShown) {
  const Finished imported =
      cluster_->Shell("data", "attune dataset import all '**/*.[jcp]*' && attune dataset show all");
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  EXPECT_THAT(imported.out, HasSubstr("b.jsonl.gz: jsonl, gzip, 3 rows of instruction"));
  EXPECT_THAT(imported.out, HasSubstr("more/f.parquet: parquet, 3 rows of instruction"));
  EXPECT_THAT(imported.out, HasSubstr("15, each kept once"));
  const Finished nothing = cluster_->Shell("data", "attune dataset import all '*.xml'");
  EXPECT_EQ(nothing.exit_code, kNotFound);
  EXPECT_THAT(nothing.err, HasSubstr("no file matches *.xml"));
}

TEST_F(ImportTest, AMappingGivesColumnsTheirMeaning) {
  cluster_->Write("faq.csv", "question,reply\n2+2?,4\nHi?,Ho\n");
  cluster_->Write("faq.yaml", "mapping: {prompt: \"Q: {question}\", completion: reply}\n");
  const std::string file = cluster_->home() / "faq.csv";
  const Json by_spec = Import({"faq", file, "--spec", cluster_->home() / "faq.yaml"});
  EXPECT_EQ(by_spec["shape"], "prompt_completion");
  const Json by_flags =
      Import({"faq", file, "--map", "prompt=Q: {question}", "--map", "completion=reply"});
  EXPECT_EQ(Ids(by_spec), Ids(by_flags));
  const Finished missing =
      cluster_->Attune({"dataset", "import", "faq", file, "--map", "text=body"});
  EXPECT_EQ(missing.exit_code, kUsage) << missing.err;
  EXPECT_THAT(missing.err, HasSubstr("no column 'body', which is mapped; it has: question, reply"));
  cluster_->Write("tie.csv", "question;no\treply\n2+2?;no\t4\n");
  const Finished tie = cluster_->Shell("", "attune dataset import tie tie.csv --map text=reply");
  EXPECT_EQ(tie.exit_code, kUsage);
  EXPECT_THAT(tie.err, HasSubstr("say in an import spec what separates the values (delimiter)"));
  cluster_->Write("tie.yaml", "delimiter: tab\nmapping: {text: reply}\n");
  const Finished said = cluster_->Shell(
      "", "attune dataset import tie tie.csv --spec tie.yaml && attune dataset show tie");
  EXPECT_EQ(said.exit_code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("tie.csv: csv (tab), 1 row of text"));
  cluster_->Write("wrong.yaml", "mapping:\n  promt: question\n");
  const Finished wrong = cluster_->Shell("", "attune dataset import faq faq.csv --spec wrong.yaml");
  EXPECT_EQ(wrong.exit_code, kUsage);
  EXPECT_THAT(wrong.err, HasSubstr("wrong.yaml:2:"));
}

TEST_F(ImportTest, PreferencePairsAreKept) {
  const std::string lists =
      R"({"chosen":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Ho"}],)"
      R"("rejected":[{"role":"user","content":"Hi"},{"role":"assistant","content":"No"}]})";
  const std::string table =
      "chosen,rejected\n"
      R"("[{""role"":""user"",""content"":""Hi""},{""role"":""assistant"",""content"":""Ho""}]",)"
      R"("[{""role"":""user"",""content"":""Hi""},{""role"":""assistant"",""content"":""No""}]")";
  const std::string text = R"({"prompt":"2+2?","chosen":"4","rejected":"5"})";
  cluster_->Write("pairs.jsonl",
                  lists + "\n" + text + "\n" + R"({"chosen":"a","rejected":"a"})" + "\n");
  cluster_->Write("pairs.csv", table + "\n");
  const Json version =
      Import({"pairs", cluster_->home() / "pairs.jsonl", cluster_->home() / "pairs.csv"});
  EXPECT_EQ(version["shape"], "preference");
  EXPECT_EQ(version["duplicates"], 1) << "the table has the first pair, too";
  EXPECT_EQ(Ids(version).size(), 2u);
  const Finished shown = cluster_->Shell("", "attune dataset show pairs");
  EXPECT_THAT(shown.out, HasSubstr("pairs.jsonl: jsonl, 3 rows of preference"));
  EXPECT_THAT(shown.out, HasSubstr("pairs.jsonl:3: chosen and rejected are equal"));
  const Finished drawn = cluster_->Shell("", "attune dataset sample pairs -n 2");
  EXPECT_THAT(drawn.out, HasSubstr("  chosen\n    4\n  rejected\n    5\n"));
  EXPECT_THAT(drawn.out, HasSubstr("  rejected\n  user\n    Hi\n  assistant\n    No\n"));
  Import({"pairs", cluster_->home() / "pairs.csv"});
  const Finished compared = cluster_->Shell("", "attune dataset diff pairs@1 pairs@2");
  EXPECT_THAT(compared.out, HasSubstr("2+2?"));
}

TEST_F(ImportTest, AFileThatWasCutOffImportsNothing) {
  const std::string packed = Gzip(kRows);
  cluster_->Write("cut.jsonl.gz", packed.substr(0, packed.size() - 9));
  const Finished cut = cluster_->Shell("", "attune dataset import cut data/a.jsonl cut.jsonl.gz");
  EXPECT_EQ(cut.exit_code, kUsage);
  EXPECT_THAT(cut.err, HasSubstr("cut.jsonl.gz: cut off in the middle of its gzip data"));
  EXPECT_EQ(cluster_->Attune({"dataset", "show", "cut"}).exit_code, kNotFound);
}

TEST_F(ImportTest, ABucketIsReadByTheCoordinator) {
  auto server = S3Server::Start(cluster_->home() / "data");
  ASSERT_NE(server, nullptr);
  ASSERT_TRUE(server->Sync());
  const Json version =
      Import({"bucket", server->Address("**/*.parquet"), server->Address("d.csv")});
  EXPECT_EQ(version["sources"], Json({"s3://live/more/f.parquet", "s3://live/d.csv"}));
  EXPECT_EQ(version["duplicates"], 3);
  EXPECT_EQ(Ids(version).size(), 3u);
  const Finished absent =
      cluster_->Attune({"dataset", "import", "bucket", server->Address("absent/*.csv")});
  EXPECT_EQ(absent.exit_code, kNotFound) << absent.err;
}

}  // namespace
}  // namespace attune::cluster
