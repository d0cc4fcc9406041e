// Imports of files of every format, and what their version says of them.

#include <algorithm>

#include "common/base/hash.h"
#include "tests/support/packed_files.h"
#include "tests/unit/registry/catalog_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FormatsTest : public CatalogTest {
 protected:
  struct File {
    std::string name, bytes;
  };

  Result<v1::DatasetVersion> ImportFiles(const v1::ImportDatasetRequest::Header& header,
                                         const std::vector<File>& files) {
    ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<Import> import, catalog_.StartImport(header));
    for (const File& file : files) {
      ATTUNE_RETURN_IF_ERROR(import->Append(file.name, file.bytes));
    }
    return import->Finish();
  }

  std::vector<std::string> SortedIds(const std::string& reference) {
    std::vector<std::string> ids = Ids(reference, "train");
    for (std::string& id : Ids(reference, "validation")) ids.push_back(std::move(id));
    std::ranges::sort(ids);
    return ids;
  }
};

constexpr char kRows[] =
    "{\"prompt\":\"2+2?\",\"completion\":\"4\",\"label\":\"sum\"}\n"
    "{\"prompt\":\"Say \\\"hi\\\",\\nplease\",\"completion\":\"hi\",\"label\":\"talk\"}\n";
constexpr char kCsv[] =
    "prompt,completion,label\r\n2+2?,4,sum\r\n\"Say \"\"hi\"\",\nplease\",hi,talk\r\n";

TEST_F(FormatsTest, TheSameRowsAreTheSameExamplesWhateverTheFormat) {
  const std::vector<File> files{{"a.jsonl", kRows},           {"b.jsonl.gz", Gzip(kRows)},
                                {"c.jsonl.zst", Zstd(kRows)}, {"d.csv", kCsv},
                                {"e.csv.gz", Gzip(kCsv)},     {"f.parquet", ParquetOfRows(kRows)}};
  std::vector<std::string> first;
  for (const File& file : files) {
    auto version = ImportFiles(Header("alone"), {file});
    ASSERT_TRUE(version.ok()) << file.name << ": " << version.status().message();
    const auto ids = SortedIds("alone");
    EXPECT_EQ(ids.size(), 2u);
    if (first.empty()) first = ids;
    EXPECT_EQ(ids, first) << file.name;
    EXPECT_EQ(version->metadata_keys().at("label"), 2u);
  }
  auto all = ImportFiles(Header("all"), files);
  ASSERT_TRUE(all.ok()) << all.status().message();
  EXPECT_EQ(all->duplicates(), 10u);
  EXPECT_EQ(SortedIds("all"), first);
}

TEST_F(FormatsTest, AVersionKeepsTheLineageOfItsFiles) {
  const std::string packed = Gzip("{\"instruction\":\"a\",\"output\":\"b\"}\nno\n");
  auto version = ImportFiles(Header("docs"), {{"a.jsonl.gz", packed}, {"b.csv", "text\none\n"}});
  ASSERT_TRUE(version.ok()) << version.status().message();
  ASSERT_EQ(version->source_files_size(), 2);
  const v1::SourceFile& file = version->source_files(0);
  EXPECT_EQ(file.name(), "a.jsonl.gz");
  EXPECT_EQ(file.format(), "jsonl");
  EXPECT_EQ(file.compression(), "gzip");
  EXPECT_EQ(file.rows(), 2u);
  EXPECT_EQ(file.shape(), "instruction");
  EXPECT_EQ(file.bytes(), packed.size());
  EXPECT_EQ(file.sha256(), Sha256Hex(packed));
  EXPECT_EQ(version->source_files(1).shape(), "text");
  EXPECT_THAT(version->sources(), ElementsAre("a.jsonl.gz", "b.csv"));
  EXPECT_EQ(version->rejected_rows(0).line(), 2u);
  EXPECT_EQ(catalog_.Get("docs")->source_files_size(), 2);
  EXPECT_EQ(catalog_.List({})->datasets(0).source_files_size(), 0);
}

TEST_F(FormatsTest, ASpecSaysHowFilesAreRead) {
  v1::ImportDatasetRequest::Header header = Header("faq", "r1");
  header.mutable_spec()->set_format("csv");
  (*header.mutable_spec()->mutable_mapping())["prompt"] = "Q: {question}";
  (*header.mutable_spec()->mutable_mapping())["completion"] = "answer";
  auto version = ImportFiles(header, {{"faq", "question,answer,id\na,b,1\n"}});
  ASSERT_TRUE(version.ok()) << version.status().message();
  EXPECT_THAT(Lines("faq"), ElementsAre(HasSubstr(R"("completion":"b","prompt":"Q: a")")));
  EXPECT_EQ(version->ignored_keys().at("id"), 1u);
  (*header.mutable_spec()->mutable_mapping())["completion"] = "id";
  EXPECT_EQ(catalog_.StartImport(header).status().code(), StatusCode::kAlreadyExists);
  (*header.mutable_spec()->mutable_mapping())["text"] = "id";
  EXPECT_EQ(catalog_.StartImport(header).status().field(), "spec.mapping");
}

TEST_F(FormatsTest, ADamagedFileImportsNothing) {
  const std::string packed = Gzip(kRows);
  auto version = ImportFiles(
      Header("docs"), {{"a.jsonl", kRows}, {"b.jsonl.gz", packed.substr(0, packed.size() - 9)}});
  EXPECT_EQ(version.status().code(), StatusCode::kInvalidArgument);
  EXPECT_THAT(version.status().message(), HasSubstr("b.jsonl.gz: cut off"));
  EXPECT_FALSE(catalog_.Get("docs").ok());
  version = ImportFiles(Header("docs"), {{"a.parquet", ParquetOfRows(kRows).substr(0, 100)}});
  EXPECT_THAT(version.status().message(), HasSubstr("a.parquet: "));
  EXPECT_FALSE(std::filesystem::exists(storage_.path() / "datasets/docs"));
}

}  // namespace
}  // namespace attune::datasets
