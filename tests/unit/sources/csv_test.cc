#include "tests/unit/sources/sources_fixture.h"

namespace attune::datasets {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CsvTest : public SourcesTest {
 protected:
  CsvTest() { options_.format = Format::kCsv; }
};

TEST_F(CsvTest, SameRowsHoweverTheBytesAreCut) {
  const std::string bytes =
      "\xEF\xBB\xBFprompt,\"comple\"\"tion\",label\r\n"
      "2+2?,4,\r\n"
      "\r\n"
      "\"a \"\"quoted\"\", one\",\"two\r\nlines\n\",\"\"\n"
      " spaced , 5\" disk,\\\n"
      "last,\xC3\xA9,x";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    EXPECT_THAT(
        Rows("a", bytes, piece),
        ElementsAre(
            R"(2:{"prompt":"2+2?","comple\"tion":"4","label":""})",
            R"(4:{"prompt":"a \"quoted\", one","comple\"tion":"two\r\nlines\n","label":""})",
            R"(7:{"prompt":" spaced ","comple\"tion":" 5\" disk","label":"\\"})",
            "8:{\"prompt\":\"last\",\"comple\\\"tion\":\"\xC3\xA9\",\"label\":\"x\"}"))
        << piece;
  }
}

TEST_F(CsvTest, AnotherDelimiterIsTakenHoweverTheBytesAreCut) {
  const std::string bytes = "\"a;b,,\";c d\r\n1,5;\"x;y\nz\"\r\n\"\";,\n";
  for (size_t piece = 1; piece <= bytes.size(); ++piece) {
    EXPECT_THAT(Rows("a", bytes, piece),
                ElementsAre(R"(2:{"a;b,,":"1,5","c d":"x;y\nz"})", R"(4:{"a;b,,":"","c d":","})"))
        << piece;
    EXPECT_EQ(files_[0].delimiter(), "semicolon");
  }
  EXPECT_THAT(Rows("a", "x|y\n1|2\n"), ElementsAre(R"(2:{"x":"1","y":"2"})"));
  EXPECT_THAT(Rows("a.tsv", "text\n1,2\n"), ElementsAre(R"(2:{"text":"1,2"})"));
  EXPECT_EQ(files_[0].delimiter(), "tab");
  // What is said wins.
  options_.delimiter = ',';
  EXPECT_THAT(Rows("a", "x;y;z,w\n1,2\n"), ElementsAre(R"(2:{"x;y;z":"1","w":"2"})"));
}

TEST_F(CsvTest, ARowThatDoesNotFitTheHeaderHasAProblem) {
  EXPECT_THAT(
      Rows("a", "a,b\n1\n1,2,3\n\"x\"y,2\n1,2\n"),
      ElementsAre("2! has 1 values, the header has 2 columns",
                  "3! has 3 values, the header has 2 columns",
                  HasSubstr("4! has text after a closing quote"), R"(5:{"a":"1","b":"2"})"));
}

TEST_F(CsvTest, ALongRowHasAProblemAndTheNextIsRead) {
  options_.row_bytes_max = 1 << 20;
  const std::string big((1 << 20) + 1, 'x');
  EXPECT_THAT(
      Rows("a", "a,b\n" + big + ",1\n\"" + big + "\n\",2\n3,4\n"),
      ElementsAre("2! longer than 1 MiB", "3! longer than 1 MiB", R"(5:{"a":"3","b":"4"})"));
}

TEST_F(CsvTest, AQuoteThatNeverClosesIsAnError) {
  EXPECT_THAT(Refused("a.csv", "a,b\n1,2\n3,\"open\n4,5\n"),
              HasSubstr("a.csv: the quote that opens in line 3 never closes"));
}

TEST_F(CsvTest, AHeaderMustBeOne) {
  EXPECT_THAT(Refused("a.csv", "a,b,a\n1,2,3\n"), HasSubstr("the column 'a' twice"));
  EXPECT_THAT(Refused("a.csv", "a;b\tc\n1;2\t3\n"),
              HasSubstr("is one column, 'a;b\tc': say in an import spec"));
  EXPECT_THAT(Refused("a.csv", std::string(5000, ',') + "\n"), HasSubstr("4096"));
  EXPECT_THAT(Rows("a.csv", "text\n"), IsEmpty());
}

TEST_F(CsvTest, AColumnWithoutANameIsNumbered) {
  EXPECT_THAT(Rows("a", ",text\n0,hello\n"), ElementsAre(R"(2:{"column 1":"0","text":"hello"})"));
}

TEST_F(CsvTest, ControlCharactersAreEscaped) {
  EXPECT_THAT(Rows("a", std::string_view("text\na\0b\tc\x1f\n", 12)),
              ElementsAre("2:{\"text\":\"a\\u0000b\\tc\\u001f\"}"));
}

}  // namespace
}  // namespace attune::datasets
