#include "worker/engine/parity/samples.h"

#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "common/safetensors/safetensors.h"

namespace attune::engine {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kHidden = 32, kIntermediate = 48, kHeads = 4, kKeyValueHeads = 2, kLayers = 2;
constexpr int64_t kPositions = 128;
constexpr int kExamples = 48;
constexpr uint64_t kModelSeed = 11, kDataSeed = 12;

constexpr const char* kWords[] = {
    "a",     "and",   "at",    "bird",  "boat",  "by",   "calls", "cat",   "cloud", "cold",
    "comes", "dark",  "dog",   "falls", "field", "fire", "goes",  "green", "hill",  "home",
    "in",    "light", "looks", "moon",  "night", "of",   "old",   "on",    "over",  "rain",
    "river", "road",  "runs",  "sea",   "snow",  "sun",  "the",   "tree",  "waits", "wind"};
constexpr const char kUnknown[] = "<unk>", kEnd[] = "<end>";

Json Added(int64_t id, const char* token) {
  return {{"id", id},        {"content", token},    {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

// Words, and then the two that are none.
constexpr int64_t kUnknownId = std::size(kWords), kEndId = kUnknownId + 1, kVocabulary = kEndId + 1;

Json Tokenizer() {
  Json vocabulary = Json::object();
  int64_t id = 0;
  for (const char* word : kWords) vocabulary[word] = id++;
  vocabulary[kUnknown] = kUnknownId;
  vocabulary[kEnd] = kEndId;
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", {Added(kUnknownId, kUnknown), Added(kEndId, kEnd)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "WhitespaceSplit"}}},
          {"post_processor", nullptr},
          {"decoder", nullptr},
          {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", kUnknown}}}};
}

Json Config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", kVocabulary},
          {"hidden_size", kHidden},
          {"intermediate_size", kIntermediate},
          {"num_hidden_layers", kLayers},
          {"num_attention_heads", kHeads},
          {"num_key_value_heads", kKeyValueHeads},
          {"hidden_act", "silu"},
          {"max_position_embeddings", kPositions},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", true},
          {"eos_token_id", kEndId},
          {"torch_dtype", "float32"}};
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

Shapes TensorShapes() {
  Shapes shapes = {{"model.embed_tokens.weight", {kVocabulary, kHidden}},
                   {"model.norm.weight", {kHidden}}};
  const int64_t keys = kHidden / kHeads * kKeyValueHeads;
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    shapes[prefix + "input_layernorm.weight"] = {kHidden};
    shapes[prefix + "post_attention_layernorm.weight"] = {kHidden};
    shapes[prefix + "self_attn.q_proj.weight"] = {kHidden, kHidden};
    shapes[prefix + "self_attn.k_proj.weight"] = {keys, kHidden};
    shapes[prefix + "self_attn.v_proj.weight"] = {keys, kHidden};
    shapes[prefix + "self_attn.o_proj.weight"] = {kHidden, kHidden};
    shapes[prefix + "mlp.gate_proj.weight"] = {kIntermediate, kHidden};
    shapes[prefix + "mlp.up_proj.weight"] = {kIntermediate, kHidden};
    shapes[prefix + "mlp.down_proj.weight"] = {kHidden, kIntermediate};
  }
  return shapes;
}

// Uniform within 0.2 of 0, of norms within 0.2 of 0.5, as weights near 1 round an update more
// coarsely; from integers, so that every machine has the same floats.
std::vector<float> RandomWeights(Random* random, const std::vector<int64_t>& shape) {
  const float middle = shape.size() == 1 ? 0.5f : 0.0f;
  std::vector<float> values(static_cast<size_t>(shape[0] * (shape.size() > 1 ? shape[1] : 1)));
  for (float& value : values) {
    const float unit = static_cast<float>(random->Below(1 << 24)) / static_cast<float>(1 << 23);
    value = middle + (unit - 1.0f) * 0.2f;
  }
  return values;
}

Status WriteWeights(const fs::path& path) {
  Random random(kModelSeed);
  const Shapes shapes = TensorShapes();
  std::vector<std::vector<float>> values;
  std::vector<TensorBytes> tensors;
  values.reserve(shapes.size());
  for (const auto& [name, shape] : shapes) {
    const std::vector<float>& tensor = values.emplace_back(RandomWeights(&random, shape));
    tensors.push_back({name, "F32", shape, tensor.data(), tensor.size() * sizeof(float)});
  }
  return WriteSafetensors(path, tensors);
}

std::string Words(Random* random, uint64_t count) {
  std::string text;
  for (uint64_t i = 0; i < count; ++i) {
    if (i > 0) text += ' ';
    text += kWords[random->Below(std::size(kWords))];
  }
  return text;
}

// Every other row has a prompt, whose tokens are not learned.
Json Row(Random* random, int number) {
  const uint64_t words = 3 + random->Below(58);
  Json row;
  if (number % 2 == 0) {
    row = {{"kind", "text"}, {"text", Words(random, words)}};
  } else {
    row = {{"kind", "prompt_completion"},
           {"prompt", Words(random, 1 + words / 3)},
           {"completion", " " + Words(random, words - words / 3)}};
  }
  row["id"] = Sha256Hex(row.dump()).substr(0, 32);
  return row;
}

}  // namespace

Result<ModelFiles> WriteSampleModel(const fs::path& folder) {
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  ATTUNE_RETURN_IF_ERROR(WriteWeights(folder / "model.safetensors"));
  const Json tokenizer_config = {
      {"tokenizer_class", "PreTrainedTokenizerFast"}, {"unk_token", kUnknown}, {"eos_token", kEnd}};
  for (const auto& [name, content] :
       {std::pair("config.json", Config()), std::pair("tokenizer.json", Tokenizer()),
        std::pair("tokenizer_config.json", tokenizer_config)}) {
    ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / name, content.dump(2) + "\n"));
  }
  return ModelFiles{.reference = "sample@1", .path = folder, .format = "huggingface"};
}

Result<DatasetFiles> WriteSampleData(const fs::path& folder) {
  ATTUNE_RETURN_IF_ERROR(CreateFolders(folder));
  Random random(kDataSeed);
  std::string lines;
  for (int i = 0; i < kExamples; ++i) lines += Row(&random, i).dump() + "\n";
  const std::string sha256 = Sha256Hex(lines), file = "train-" + sha256.substr(0, 16) + ".jsonl";
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / file, lines));
  const Json shard = {{"file", file},
                      {"split", "train"},
                      {"examples", kExamples},
                      {"bytes", lines.size()},
                      {"sha256", sha256}};
  const Json manifest = {
      {"name", "samples"}, {"version", 1}, {"checksum", sha256}, {"shards", Json::array({shard})}};
  ATTUNE_RETURN_IF_ERROR(WriteFileAtomically(folder / "manifest.json", manifest.dump(2) + "\n"));
  return DatasetFiles{.reference = "samples@1", .path = folder, .checksum = sha256};
}

}  // namespace attune::engine
