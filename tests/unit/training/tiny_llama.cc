#include "tests/unit/training/tiny_llama.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <map>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "worker/engine/checkpoint/tensor_file.h"

namespace attune::engine::testing {
namespace {

NamedTensors TinyTensors(const TinyConfig& c) {
  const int64_t head = c.hidden / c.heads;
  NamedTensors tensors = {{"model.embed_tokens.weight", at::empty({c.vocabulary, c.hidden})},
                          {"model.norm.weight", at::empty({c.hidden})}};
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    auto add = [&](const char* name, std::vector<int64_t> shape) {
      tensors.emplace_back(prefix + name + ".weight", at::empty(shape));
    };
    add("self_attn.q_proj", {c.heads * head, c.hidden});
    add("self_attn.k_proj", {c.key_value_heads * head, c.hidden});
    add("self_attn.v_proj", {c.key_value_heads * head, c.hidden});
    add("self_attn.o_proj", {c.hidden, c.heads * head});
    add("mlp.gate_proj", {c.intermediate, c.hidden});
    add("mlp.up_proj", {c.intermediate, c.hidden});
    add("mlp.down_proj", {c.hidden, c.intermediate});
    add("input_layernorm", {c.hidden});
    add("post_attention_layernorm", {c.hidden});
  }
  return tensors;
}

std::string ConfigJson(const TinyConfig& c) {
  auto field = [](const char* name, int64_t value) {
    return "\"" + std::string(name) + "\": " + std::to_string(value) + ", ";
  };
  return "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], " +
         field("vocab_size", c.vocabulary) + field("hidden_size", c.hidden) +
         field("intermediate_size", c.intermediate) + field("num_hidden_layers", c.layers) +
         field("num_attention_heads", c.heads) + field("num_key_value_heads", c.key_value_heads) +
         field("max_position_embeddings", c.positions) +
         "\"hidden_act\": \"silu\", \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, "
         "\"tie_word_embeddings\": true, \"bos_token_id\": 1, \"eos_token_id\": 2, "
         "\"torch_dtype\": \"float32\"}";
}

}  // namespace

void FillRandom(NamedTensors tensors, uint64_t seed, double low, double high) {
  at::NoGradGuard no_grad;
  Random random(seed);
  std::sort(tensors.begin(), tensors.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [name, tensor] : tensors) {
    const double shift = name.find("norm") != std::string::npos ? 1.0 : 0.0;
    float* const data = tensor.data_ptr<float>();
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      const double unit = static_cast<double>(random.Next() >> 40) / (1 << 24);
      data[i] = static_cast<float>(shift + (low + unit * (high - low)));
    }
  }
}

void WriteTinyLlama(const std::filesystem::path& folder, const TinyConfig& config, uint64_t seed) {
  std::filesystem::create_directories(folder);
  const NamedTensors tensors = TinyTensors(config);
  FillRandom(tensors, seed, -0.2, 0.2);
  ATTUNE_CHECK(SaveTensors(folder / "model.safetensors", tensors).ok());
  ATTUNE_CHECK(WriteFileAtomically(folder / "config.json", ConfigJson(config)).ok());
}

void MemoryShard::Add(std::vector<uint32_t> tokens, std::vector<uint8_t> targets) {
  lengths_.push_back(static_cast<uint32_t>(tokens.size()));
  target_counts_.push_back(static_cast<uint32_t>(std::ranges::count_if(targets, IsTarget)));
  Random id(tokens_.size());
  ids_.emplace_back();
  for (int i = 0; i < 16; ++i) ids_.back().push_back(static_cast<uint8_t>(id.Next()));
  tokens_.push_back(std::move(tokens));
  targets_.push_back(std::move(targets));
}

std::shared_ptr<MemoryShard> RandomExamples(int count, uint64_t seed, uint32_t vocabulary) {
  auto shard = std::make_shared<MemoryShard>();
  Random random(seed);
  for (int e = 0; e < count; ++e) {
    std::vector<uint32_t> tokens(3 + random.Next() % 20);
    for (uint32_t& token : tokens) token = static_cast<uint32_t>(random.Next() % vocabulary);
    std::vector<uint8_t> targets(tokens.size());
    for (size_t i = 1; i < targets.size(); ++i) targets[i] = random.Next() % 3 != 0 ? 1 : 0;
    targets.back() = 1;
    shard->Add(std::move(tokens), std::move(targets));
  }
  return shard;
}

}  // namespace attune::engine::testing
