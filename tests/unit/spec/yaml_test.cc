#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/yaml/document.h"
#include "common/yaml/nearest.h"
#include "common/yaml/reader.h"

namespace attune::yaml {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ParseError(const std::string& text) {
  auto document = Parse(text, "f.yaml");
  return document.ok() ? "no error" : document.status().message();
}

TEST(YamlParse, KeepsOrderKindsAndPositions) {
  auto document = Parse("a: 1\nb:\n  - x\n  - \"2\"\nc: {d: null}\n", "f.yaml");
  ASSERT_TRUE(document.ok()) << document.status().message();
  const Node& root = document->root();
  ASSERT_EQ(root.entries.size(), 3u);
  EXPECT_EQ(root.entries[1].key, "b");
  EXPECT_EQ(root.entries[1].key_position.line, 2);
  EXPECT_EQ(root.entries[1].value.items[1].position.line, 4);
  EXPECT_EQ(root.entries[1].value.items[1].position.column, 5);
  EXPECT_TRUE(root.entries[1].value.items[1].quoted);
  EXPECT_EQ(root.entries[2].value.entries[0].value.kind, Node::Kind::kNull);
}

TEST(YamlParse, EmptyTextIsNull) {
  auto document = Parse("# nothing\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->root().kind, Node::Kind::kNull);
}

TEST(YamlParse, RefusesWhatIsNotInTheSubset) {
  EXPECT_THAT(ParseError("a: &x 1\nb: *x\n"), HasSubstr("f.yaml:1:4: anchors and aliases"));
  EXPECT_THAT(ParseError("a: !!int 1\n"), HasSubstr("tags"));
  EXPECT_THAT(ParseError("a: 1\n---\nb: 2\n"), HasSubstr("second document"));
  EXPECT_THAT(ParseError("a: 1\nb: 2\na: 3\n"), HasSubstr("f.yaml:3:1: duplicate key 'a'"));
  EXPECT_THAT(ParseError("[1, 2]: 3\n"), HasSubstr("a key must be a plain word"));
  EXPECT_THAT(ParseError("a: [1, 2\n"), HasSubstr("not valid YAML"));
  EXPECT_THAT(ParseError("a: \"\xff\"\n"), HasSubstr("f.yaml:1:5: a byte that is not UTF-8"));
  EXPECT_THAT(ParseError(std::string("a: 1\0", 5)), HasSubstr("f.yaml:1:5"));
}

TEST(YamlParse, LimitsSizeAndDepth) {
  EXPECT_THAT(ParseError(std::string(kMaxBytes + 1, ' ')), HasSubstr("larger than 1 MiB"));
  EXPECT_THAT(ParseError(std::string(40, '[') + std::string(40, ']')), HasSubstr("deeper than 32"));
  EXPECT_EQ(ParseError(std::string(30, '[') + std::string(30, ']')), "no error");
}

struct Config {
  std::string listen;
  int slots = 4;
  double share = 0.5;
  bool on = false;
  std::vector<std::string> names;
  std::string cert;
  std::chrono::milliseconds wait{0};
};

Status Read(const std::string& text, Config* config) {
  auto document = Parse(text, "f.yaml");
  if (!document.ok()) return document.status();
  Reader reader(*document);
  reader.Required("listen", &config->listen);
  reader.Optional("slots", &config->slots, Range{1, 64});
  reader.Optional("share", &config->share, Range{0, 1});
  reader.Optional("on", &config->on);
  reader.Optional("names", &config->names);
  reader.Optional("wait", &config->wait, Range{0, 60});
  reader.Section("tls", [&](Reader& tls) { tls.Required("cert", &config->cert); });
  return reader.Finish();
}

TEST(YamlReader, FillsFields) {
  Config config;
  Status status = Read(
      "listen: 127.0.0.1:7070\nslots: 8\nshare: 2e-1\non: true\nnames: [a, b]\nwait: 1.5s\n"
      "tls:\n  cert: c.pem\n",
      &config);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(config.listen, "127.0.0.1:7070");
  EXPECT_EQ(config.slots, 8);
  EXPECT_DOUBLE_EQ(config.share, 0.2);
  EXPECT_TRUE(config.on);
  EXPECT_THAT(config.names, ElementsAre("a", "b"));
  EXPECT_EQ(config.wait.count(), 1500);
  EXPECT_EQ(config.cert, "c.pem");
}

TEST(YamlReader, UnknownKeyHasPositionCaretAndFix) {
  Config config;
  Status status = Read("listen: x\ntls:\n  certt: y\n  cert: z\n", &config);
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "f.yaml:3:3: unknown key 'certt' in tls; did you mean 'cert'?\n"
            "    3 |   certt: y\n"
            "      |   ^~~~~");
  EXPECT_EQ(status.field(), "tls.certt");
}

TEST(YamlReader, CollectsEverythingThatIsWrong) {
  Config config;
  Status status = Read("slots: 65\nshare: high\non: yes\ntls: 3\nslotz: 1\n", &config);
  EXPECT_THAT(status.message(), HasSubstr("missing key 'listen', which is required"));
  EXPECT_THAT(status.message(), HasSubstr("slots must be a whole number from 1 to 64, not '65'"));
  EXPECT_THAT(status.message(), HasSubstr("share must be a number from 0 to 1, not 'high'"));
  EXPECT_THAT(status.message(), HasSubstr("on must be true or false, not 'yes'"));
  EXPECT_THAT(status.message(), HasSubstr("tls must be a section of keys and values, not '3'"));
  EXPECT_THAT(status.message(), HasSubstr("did you mean 'slots'?"));
  EXPECT_EQ(config.slots, 4);
}

TEST(YamlReader, RefusesQuotedNumbersAndFractions) {
  Config config;
  EXPECT_THAT(Read("listen: x\nslots: \"3\"\n", &config).message(),
              HasSubstr("not the string '3'"));
  EXPECT_THAT(Read("listen: x\nslots: 1.5\n", &config).message(), HasSubstr("a whole number"));
  EXPECT_THAT(Read("listen: x\nslots:\n", &config).message(), HasSubstr("not nothing"));
  EXPECT_THAT(Read("listen: x\nshare: .nan\n", &config).message(), HasSubstr("a number"));
  EXPECT_THAT(Read("listen: ''\n", &config).message(), HasSubstr("a string that is not empty"));
  EXPECT_THAT(Read("- a\n", &config).message(), HasSubstr("must hold keys and values, not a list"));
}

TEST(YamlReader, ShowsAtMostTenProblems) {
  std::string text = "listen: x\n";
  for (int i = 0; i < 14; ++i) text += "zz" + std::to_string(i) + ": 1\n";
  Config config;
  std::string message = Read(text, &config).message();
  EXPECT_THAT(message, HasSubstr("and 4 more"));
  EXPECT_THAT(message, Not(HasSubstr("zz12")));
}

TEST(YamlProblems, CaretCountsCharactersNotBytes) {
  auto document = Parse("listen: x\n\"äö\": {slots: 1}\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  Problems problems;
  problems.Add(document->root().entries[1].value.entries[0].key_position, "", "here");
  EXPECT_THAT(problems.ToStatus().message(),
              HasSubstr("f.yaml:2:8: here\n    2 | \"äö\": {slots: 1}\n      |        ^~~~~"));
}

TEST(YamlSet, ReplacesAddsAndMakesSections) {
  auto document = Parse("train: {epochs: 1}\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  ASSERT_TRUE(document->Set("train.epochs=3").ok());
  ASSERT_TRUE(document->Set("optimizer.betas=[0.9, 0.95]").ok());
  const Node& root = document->root();
  EXPECT_EQ(root.Find("train")->value.Find("epochs")->value.scalar, "3");
  EXPECT_EQ(root.Find("optimizer")->value.Find("betas")->value.items.size(), 2u);
}

TEST(YamlSet, ErrorsPointIntoTheAssignment) {
  auto document = Parse("listen: x\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  ASSERT_TRUE(document->Set("slots=many").ok());
  Reader reader(*document);
  std::string listen;
  int slots = 0;
  reader.Required("listen", &listen);
  reader.Optional("slots", &slots);
  EXPECT_THAT(reader.Finish().message(),
              HasSubstr("--set:1:7: slots must be a whole number, not 'many'\n"
                        "    1 | slots=many\n      |       ^~~~"));
}

TEST(YamlSet, RefusesWhatIsNoAssignment) {
  auto document = Parse("listen: x\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  EXPECT_THAT(document->Set("slots").message(), HasSubstr("write it as key=value"));
  EXPECT_THAT(document->Set("=3").message(), HasSubstr("empty key"));
  EXPECT_THAT(document->Set("listen.port=3").message(), HasSubstr("'listen' is 'x'"));
  EXPECT_THAT(document->Set("a=[1").message(), HasSubstr("not valid YAML"));
}

TEST(YamlSet, ARefusedOneChangesNothing) {
  auto document = Parse("train:\nlisten: x\n", "f.yaml");
  ASSERT_TRUE(document.ok());
  EXPECT_FALSE(document->Set("train[.=x").ok());
  EXPECT_FALSE(document->Set("train.a..b=x").ok());
  EXPECT_EQ(document->root().entries.size(), 2u);
  EXPECT_EQ(document->root().Find("train")->value.kind, Node::Kind::kNull);
}

TEST(Nearest, FindsTyposAndParts) {
  std::vector<std::string> keys = {"epochs", "max_steps", "sequence_length", "seed"};
  EXPECT_EQ(Nearest("epoch", keys), "epochs");
  EXPECT_EQ(Nearest("sed", keys), "seed");
  EXPECT_EQ(Nearest("steps", keys), "max_steps");
  EXPECT_EQ(Nearest("seqence_lenght", keys), "sequence_length");
  EXPECT_EQ(Nearest("banana", keys), "");
}

TEST(FormatNumber, IsShortAndReadable) {
  EXPECT_EQ(FormatNumber(2e-4), "2e-4");
  EXPECT_EQ(FormatNumber(2e-5), "2e-5");
  EXPECT_EQ(FormatNumber(16), "16");
  EXPECT_EQ(FormatNumber(0.999), "0.999");
}

}  // namespace
}  // namespace attune::yaml
