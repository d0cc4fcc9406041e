#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/gguf/gguf.h"
#include "common/model/gguf_names.h"
#include "tests/unit/formats/fixtures.h"
#include "tests/unit/formats/gguf_builder.h"
#include "worker/engine/formats/dequantize.h"

namespace attune::engine {
namespace {

using ::testing::HasSubstr;

TEST(Dequantize, EqualsGgufPyBitForBit) {
  auto file = gguf::File::Open(Fixture("quants.gguf"));
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  auto expected = OpenWeights(Fixture("quants.safetensors"));
  ASSERT_TRUE(expected.ok()) << expected.status().ToString();
  EXPECT_EQ((*file)->tensors().size(), 14u);
  for (const auto& [name, tensor] : (*file)->tensors()) {
    SCOPED_TRACE(std::string(name));
    std::vector<float> actual(tensor.elements);
    Status status = Dequantize(*tensor.type, tensor.data, actual);
    ASSERT_TRUE(status.ok()) << status.ToString();
    std::vector<float> wanted = Read(**expected, std::string(name));
    ASSERT_EQ(actual.size(), wanted.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(actual[i]), std::bit_cast<uint32_t>(wanted[i])) << i;
    }
  }
}

// `weights` is what imports go by: it must be what is decoded, and the fixture above must have it.
TEST(Dequantize, DecodesTheTypesThatAreCalledWeights) {
  auto file = gguf::File::Open(Fixture("quants.gguf"));
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  std::set<std::string_view> checked;
  for (const auto& [name, tensor] : (*file)->tensors()) checked.insert(tensor.type->name);
  for (const gguf::ElementType& type : gguf::ElementTypes()) {
    std::vector<std::byte> block(type.block_bytes);
    std::vector<float> out(type.block_elements);
    const Status status = Dequantize(type, block, out);
    EXPECT_EQ(status.ok(), type.weights) << type.name << ": " << status.ToString();
    EXPECT_EQ(checked.contains(type.name), type.weights) << type.name;
    if (!status.ok()) EXPECT_THAT(status.message(), HasSubstr(std::string(type.name)));
  }
}

class GgufModel : public testing::TestWithParam<const char*> {};

TEST_P(GgufModel, HasTheTensorsOfTransformers) {
  auto actual = OpenWeights(Fixture(std::string(GetParam()) + ".gguf"));
  ASSERT_TRUE(actual.ok()) << actual.status().ToString();
  auto expected = OpenWeights(Fixture(std::string(GetParam()) + ".safetensors"));
  ASSERT_TRUE(expected.ok()) << expected.status().ToString();
  ExpectSameTensors(**actual, **expected);
}

TEST_P(GgufModel, HasTheConfigOfTransformers) {
  auto text = ReadModelConfig(Fixture(std::string(GetParam()) + ".gguf"));
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  auto config = nlohmann::json::parse(*text);
  auto expected = nlohmann::json::parse(*ReadFile(Fixture(std::string(GetParam()) + ".json")));
  for (const auto& [key, value] : expected.items()) EXPECT_EQ(config[key], value) << key;
  EXPECT_EQ(config["architectures"], nlohmann::json({"LlamaForCausalLM"}));
}

INSTANTIATE_TEST_SUITE_P(Tiny, GgufModel, testing::Values("llama_tied", "llama_untied"));

TEST(GgufConfig, ReadsScalingAndBiases) {
  auto tied = nlohmann::json::parse(*ReadModelConfig(Fixture("llama_tied.gguf")));
  EXPECT_EQ(tied["rope_scaling"],
            (nlohmann::json{
                {"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 64}}));
  EXPECT_EQ(tied["attention_bias"], false);
  auto untied = nlohmann::json::parse(*ReadModelConfig(Fixture("llama_untied.gguf")));
  EXPECT_EQ(untied["rope_scaling"], nullptr);
  EXPECT_EQ(untied["attention_bias"], true);
  EXPECT_EQ(untied["mlp_bias"], false);
}

// The real model; tools/setup fetches it.
TEST(GgufModel, SmolLm2HasTheWeightsOfTransformers) {
  const std::filesystem::path path = ".deps/models/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is missing: run tools/setup";
  auto expected = nlohmann::json::parse(*ReadFile(Fixture("smollm2.json")));
  auto source = OpenWeights(path.parent_path());
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  EXPECT_EQ((*source)->tensors().size(), expected["tensors"].get<size_t>());
  Sha256 hash;
  for (const auto& [name, info] : (*source)->tensors()) {
    std::vector<float> values = Read(**source, name);
    hash.Update(name);
    hash.Update(values.data(), values.size() * sizeof(float));
  }
  EXPECT_EQ(hash.Hex(), expected["sha256"].get<std::string>());
  auto config = nlohmann::json::parse(*ReadModelConfig(path.parent_path()));
  for (const auto& [key, value] : expected["config"].items()) EXPECT_EQ(config[key], value) << key;
}

TEST(LlamaNames, MapsEveryPart) {
  auto name = LlamaNameOf("blk.11.attn_k.bias", 12, 8, 2);
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->name, "model.layers.11.self_attn.k_proj.bias");
  EXPECT_EQ(name->heads, 2);
  EXPECT_EQ(LlamaNameOf("rope_freqs.weight", 1, 1, 1)->name, "");
  EXPECT_EQ(LlamaNameOf("blk.0.ffn_down.weight", 1, 1, 1)->name,
            "model.layers.0.mlp.down_proj.weight");
}

TEST(LlamaNames, RefusesWhatLlamaHasNot) {
  for (const char* bad :
       {"blk.12.attn_q.weight", "blk.01.attn_q.weight", "blk..attn_q.weight", "blk.", "blk.1",
        "blk.1.", "blk.1.attn_q", "blk.1.attn_q.scale", "blk.-1.attn_q.weight",
        "blk.99999999999.attn_q.weight", "blk.1.ffn_gate_exps.weight", "output.bias"}) {
    EXPECT_FALSE(LlamaNameOf(bad, 12, 8, 2).ok()) << bad;
  }
}

using gguf::ValueType;

// The metadata of a small Llama; what is given replaces or adds to it.
struct LlamaBytes {
  std::map<std::string, uint32_t> numbers = {
      {"llama.context_length", 64},      {"llama.embedding_length", 32},
      {"llama.feed_forward_length", 32}, {"llama.block_count", 1},
      {"llama.attention.head_count", 2}, {"llama.vocab_size", 10}};
  std::string architecture = "llama";
  std::string scaling_type;
  std::vector<float> rope_freqs;
  std::pair<std::string, uint64_t> extra_tensor;  // F32, one dimension

  std::string Text() const {
    gguf::Bytes bytes;
    bool extra = !extra_tensor.first.empty();
    bytes.Header((rope_freqs.empty() ? 0 : 1) + (extra ? 1 : 0),
                 numbers.size() + 2 + (scaling_type.empty() ? 0 : 1));
    bytes.Key("general.architecture", ValueType::kString).String(architecture);
    bytes.Key("llama.attention.layer_norm_rms_epsilon", ValueType::kFloat32).Add<float>(1e-5f);
    if (!scaling_type.empty()) {
      bytes.Key("llama.rope.scaling.type", ValueType::kString).String(scaling_type);
    }
    for (const auto& [key, value] : numbers) {
      bytes.Key(key, ValueType::kUint32).Add<uint32_t>(value);
    }
    if (!rope_freqs.empty()) bytes.TensorInfo("rope_freqs.weight", {rope_freqs.size()}, 0, 0);
    if (extra) bytes.TensorInfo(extra_tensor.first, {extra_tensor.second}, 0, 1024);
    bytes.Pad();
    for (float value : rope_freqs) bytes.Add<float>(value);
    return bytes.Zeros(4096).text();
  }
};

Result<std::string> ConfigOf(const LlamaBytes& llama) {
  TemporaryFolder folder;
  return ReadModelConfig(folder.Write("m.gguf", llama.Text()));
}

TEST(GgufConfig, RefusesWhatItCannotHonour) {
  LlamaBytes llama;
  ASSERT_TRUE(ConfigOf(llama).ok()) << ConfigOf(llama).status().ToString();
  llama.architecture = "falcon";
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("\"falcon\" is not supported"));
  llama = {};
  llama.numbers.erase("llama.block_count");
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("llama.block_count"));
  llama = {};
  llama.numbers["llama.embedding_length"] = 0;
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("llama.embedding_length"));
  llama = {};
  llama.numbers["llama.attention.head_count_kv"] = 3;
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("cannot share"));
  llama = {};
  llama.numbers["llama.expert_count"] = 8;
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("mixture-of-experts"));
  llama = {};
  llama.scaling_type = "longrope";
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("longrope"));
  llama = {};
  llama.numbers["split.count"] = 2;
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("one of 2 parts"));
}

TEST(GgufConfig, RecognisesLlama3InTheRopeDivisors) {
  LlamaBytes llama;
  llama.numbers["llama.rope.freq_base"] = 500000;
  llama.numbers["llama.attention.head_count"] = 1;
  llama.numbers["llama.embedding_length"] = 128;
  // From Llama 3.2's rope_freqs.weight by its definition: short waves stay, long ones are stretched
  // 32 times.
  for (int i = 0; i < 64; ++i) {
    double wave = 2 * M_PI * std::pow(500000, i / 64.0);
    double smooth = (8192 / wave - 1) / 3;
    double divisor = wave < 2048 ? 1 : wave > 8192 ? 32 : 1 / ((1 - smooth) / 32 + smooth);
    llama.rope_freqs.push_back(static_cast<float>(divisor));
  }
  auto text = ConfigOf(llama);
  ASSERT_TRUE(text.ok()) << text.status().ToString();
  auto scaling = nlohmann::json::parse(*text)["rope_scaling"];
  EXPECT_EQ(scaling["rope_type"], "llama3");
  EXPECT_EQ(scaling["factor"], 32);
  llama.rope_freqs[40] = 3;
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("not known"));
  llama.rope_freqs.resize(8);
  EXPECT_THAT(ConfigOf(llama).status().message(), HasSubstr("rotary frequencies"));
}

TEST(GgufWeights, RefusesRowsThatHeadsCannotShare) {
  TemporaryFolder folder;
  LlamaBytes llama;
  llama.extra_tensor = {"blk.0.attn_q.bias", 6};
  auto source = OpenWeights(folder.Write("m.gguf", llama.Text()));
  EXPECT_THAT(source.status().message(), HasSubstr("cannot share"));
  llama.extra_tensor = {"blk.1.attn_q.bias", 32};
  EXPECT_THAT(OpenWeights(folder.Write("m.gguf", llama.Text())).status().message(),
              HasSubstr("beyond the 1"));
}

}  // namespace
}  // namespace attune::engine
