#include "tools/cli/output.h"

#include <gtest/gtest.h>

#include "common/yaml/document.h"

namespace attune::cli {
namespace {

using Json = nlohmann::ordered_json;

TEST(JsonToYaml, WritesWhatReadsBack) {
  Json json = {{"name", "docs"},
               {"on", "yes"},
               {"n", 3},
               {"x", 0.5},
               {"empty", Json::array()},
               {"none", nullptr},
               {"list", {1, "two: 2", Json{{"a", 1}, {"b", {1, 2}}}}},
               {"map", {{"k", "line\nbreak"}}}};
  std::string text = JsonToYaml(json);
  EXPECT_EQ(text,
            "name: docs\n\"on\": \"yes\"\n\"n\": 3\nx: 0.5\nempty: []\nnone: null\nlist:\n  - 1\n  "
            "- \"two: 2\"\n"
            "  - a: 1\n    b:\n      - 1\n      - 2\nmap:\n  k: \"line\\nbreak\"\n");
  auto document = yaml::Parse(text, "out.yaml");
  ASSERT_TRUE(document.ok()) << document.status().message();
  EXPECT_EQ(document->root().Find("map")->value.Find("k")->value.scalar, "line\nbreak");
}

TEST(JsonToYaml, TopLevelListsAndScalars) {
  EXPECT_EQ(JsonToYaml(Json::array({1, 2})), "- 1\n- 2\n");
  EXPECT_EQ(JsonToYaml(Json::array()), "[]\n");
  EXPECT_EQ(JsonToYaml(Json("a b")), "a b\n");
}

}  // namespace
}  // namespace attune::cli
