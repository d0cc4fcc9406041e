// Any text as a config.json and, behind a NUL, as an adapter_config.json on the model that it
// describes, or on a small one: what is accepted names each of its tensors once, and is written so
// that it is read as the same again.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "common/model/adapter_config.h"
#include "common/model/model_config.h"
#include "common/model/tensor_shapes.h"
#include "common/model/tensors.h"

namespace {

using namespace attune;

// A model of so many layers is allowed, but takes a test too long.
constexpr int64_t kLayersMost = 16;

const ModelConfig& SmallModel() {
  static const auto* config = new ModelConfig(*ParseModelConfig(
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 96,
          "hidden_size": 32, "intermediate_size": 56, "num_hidden_layers": 2,
          "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32,
          "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": false})",
      "small"));
  return *config;
}

bool IsLarge(const ModelConfig& config) {
  return config.layers > kLayersMost || (config.encoder && config.encoder->layers > kLayersMost);
}

void CheckModel(const ModelConfig& config) {
  const std::vector<std::string> names = TensorNames(config);
  ATTUNE_CHECK(std::set<std::string>(names.begin(), names.end()).size() == names.size());
  ATTUNE_CHECK(TensorShapes(config).size() == names.size());
  const auto again = ParseModelConfig(ConfigJson(config, "float32"), "again");
  ATTUNE_CHECK(again.ok());
  ATTUNE_CHECK(TensorShapes(*again) == TensorShapes(config));
  const auto classifier = AsClassifier(config, {"cold", "hot"});
  if (classifier.ok()) ATTUNE_CHECK(classifier->labels.size() == 2);
}

void CheckAdapter(const ModelConfig& model, const std::string& json) {
  const auto config = ParseAdapterConfig(json, model, "fuzz");
  if (!config.ok()) return;
  const auto again = ParseAdapterConfig(AdapterConfigJson(*config, model, "base"), model, "again");
  ATTUNE_CHECK(again.ok());
  ATTUNE_CHECK(AdapterTensorShapes(model, *again) == AdapterTensorShapes(model, *config));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), text.size());
  const auto config = ParseModelConfig(text.substr(0, end), "fuzz");
  if (config.ok() && IsLarge(*config)) return 0;
  if (config.ok()) CheckModel(*config);
  CheckAdapter(config.ok() ? *config : SmallModel(), text.substr(std::min(end + 1, text.size())));
  return 0;
}
