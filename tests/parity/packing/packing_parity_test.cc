// Rows on their way to the model (tokens, what is learned of them, packed batches) against trl's
// SFTTrainer (make_fixtures.py).

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "tests/parity/packing/shard_line.h"
#include "worker/engine/batches/batch.h"
#include "worker/engine/data/example_list.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/text/text.h"

namespace attune::parity {
namespace {

using Json = nlohmann::ordered_json;
using engine::ExampleList;
using engine::TokenizedExample;

engine::TokenizeOptions OptionsOf(const Json& entry) {
  engine::TokenizeOptions options;
  options.assets = *text::LoadTextAssets("tests/fixtures/text/small");
  if (!entry["template"].is_null()) {
    options.assets.chat_template = *text::ChatTemplate::Parse(
        entry["template"].get<std::string>(), options.assets.bos_token, options.assets.eos_token);
  }
  options.sequence_length = entry["length"];
  options.vocabulary_size = options.assets.tokenizer->vocabulary_size();
  return options;
}

std::vector<TokenizedExample> Tokenize(const Json& entry) {
  const engine::TokenizeOptions options = OptionsOf(entry);
  std::vector<TokenizedExample> examples;
  for (const Json& row : entry["rows"]) {
    auto example = engine::TokenizeExample(ShardLineOf(row.dump()), options);
    EXPECT_TRUE(example.ok()) << example.status().ToString();
    EXPECT_EQ(example->unusable, "");
    examples.push_back(std::move(*example));
  }
  return examples;
}

// The reference's sequences, as indices into ours; each example is used once.
std::optional<std::vector<engine::Sequence>> Find(const Json& entry,
                                                  const std::vector<TokenizedExample>& examples) {
  const auto ids = entry["input_ids"].get<std::vector<uint32_t>>();
  std::vector<bool> used(examples.size());
  std::vector<engine::Sequence> sequences;
  size_t at = 0;
  for (const Json& lengths : entry["sequences"]) {
    sequences.emplace_back();
    for (const size_t length : lengths) {
      const std::span<const uint32_t> tokens = std::span(ids).subspan(at, length);
      size_t found = 0;
      while (found < examples.size() &&
             (used[found] || !std::ranges::equal(examples[found].tokens, tokens))) {
        ++found;
      }
      if (found == examples.size()) {
        ADD_FAILURE() << "no row has the " << length << " tokens from " << at << " on";
        return std::nullopt;
      }
      used[found] = true;
      sequences.back().push_back(static_cast<uint32_t>(found));
      at += length;
    }
  }
  EXPECT_TRUE(std::ranges::all_of(used, [](bool is) { return is; })) << "a row is not in a batch";
  return sequences;
}

std::vector<int64_t> Values(const at::Tensor& tensor) {
  return {tensor.data_ptr<int64_t>(), tensor.data_ptr<int64_t>() + tensor.numel()};
}

// Labels as trl has them: of each token what is to be predicted there, -100 where nothing is.
std::vector<int64_t> Labels(const engine::PackedBatch& batch) {
  std::vector<int64_t> labels(static_cast<size_t>(batch.tokens.numel()), -100);
  const std::vector<int64_t> rows = Values(batch.target_rows), targets = Values(batch.targets);
  for (size_t i = 0; i < rows.size(); ++i) labels[static_cast<size_t>(rows[i]) + 1] = targets[i];
  return labels;
}

TEST(PackingParity, BatchesAreThoseOfTrl) {
  std::ifstream stream("tests/fixtures/packing/expected.json");
  ASSERT_TRUE(stream.good());
  const Json reference = Json::parse(stream);
  ASSERT_EQ(reference.size(), 4u);
  bool any_is_cut = false;
  for (const Json& entry : reference) {
    SCOPED_TRACE(entry["name"].get<std::string>());
    std::vector<TokenizedExample> examples = Tokenize(entry);
    any_is_cut |= std::ranges::any_of(examples, &TokenizedExample::truncated);
    const auto sequences = Find(entry, examples);
    if (!sequences) continue;
    EXPECT_TRUE(std::ranges::any_of(*sequences, [](const auto& s) { return s.size() > 1; }));
    const ExampleList shard(std::move(examples));
    auto batch = engine::MakeBatch(shard, *sequences, 1 << 20, at::kCPU);
    ASSERT_TRUE(batch.ok()) << batch.status().ToString();
    EXPECT_EQ(Values(batch->tokens), entry["input_ids"].get<std::vector<int64_t>>());
    EXPECT_EQ(Values(batch->positions), entry["position_ids"].get<std::vector<int64_t>>());
    EXPECT_EQ(Labels(*batch), entry["labels"].get<std::vector<int64_t>>());
  }
  EXPECT_TRUE(any_is_cut);
}

}  // namespace
}  // namespace attune::parity
