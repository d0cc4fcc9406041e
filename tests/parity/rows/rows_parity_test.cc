// Rows as people have them, from the line of a file to token ids and targets, against transformers
// and trl (make_fixtures.py).

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "coordinator/datasets/row.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/text/text.h"

namespace attune::parity {
namespace {

using Json = nlohmann::ordered_json;

TEST(RowsParity, TokensAndTargetsAreThoseOfTrl) {
  std::ifstream stream("tests/fixtures/rows/expected.json");
  ASSERT_TRUE(stream.good());
  const Json reference = Json::parse(stream);
  ASSERT_GE(reference["cases"].size(), 25u);
  auto small = text::LoadTextAssets("tests/fixtures/text/small");
  ASSERT_TRUE(small.ok()) << small.status().ToString();
  for (const Json& entry : reference["cases"]) {
    const std::string name = entry["template"];
    SCOPED_TRACE(name + " " + entry["row"].dump());
    engine::TokenizeOptions options;
    options.assets = *small;
    auto chat_template =
        text::ChatTemplate::Parse(reference["templates"][name].get<std::string>(),
                                  options.assets.bos_token, options.assets.eos_token);
    ASSERT_TRUE(chat_template.ok()) << chat_template.status().ToString();
    options.assets.chat_template = *chat_template;
    options.sequence_length = 1 << 20;
    options.vocabulary_size = options.assets.tokenizer->vocabulary_size();

    auto row = datasets::ParseRow(entry["row"].dump());
    ASSERT_TRUE(row.ok()) << row.status().ToString();
    auto example = engine::TokenizeExample(datasets::ShardLine(*row), options);
    ASSERT_TRUE(example.ok()) << example.status().ToString();
    ASSERT_EQ(example->unusable, "");
    auto text = options.assets.tokenizer->Decode(example->tokens, false);
    EXPECT_EQ(*text, entry["text"].get<std::string>());
    EXPECT_EQ(example->tokens, entry["ids"].get<std::vector<uint32_t>>());
    EXPECT_EQ(example->targets, entry["targets"].get<std::vector<uint8_t>>());
  }
}

}  // namespace
}  // namespace attune::parity
