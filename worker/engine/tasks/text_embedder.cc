#include "worker/engine/tasks/text_embedder.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/files.h"
#include "worker/engine/tasks/origin.h"

namespace attune::engine {
namespace {

using nlohmann::json;

constexpr uint64_t kPoolingBytesMax = 1 << 20;

// What sentence-transformers' files beside a model ask for; nothing where there are none.
struct Pooling {
  bool normalize = false;
  int64_t tokens_max = std::numeric_limits<int64_t>::max();
};

Result<json> ReadBeside(const std::filesystem::path& folder, const char* name) {
  const auto text = ReadFile(folder / name, kPoolingBytesMax);
  if (text.status().code() == StatusCode::kNotFound) return json();
  if (!text.ok()) return text.status();
  return json::parse(*text, nullptr, /*allow_exceptions=*/false);
}

Result<Pooling> ReadPooling(const std::filesystem::path& folder) {
  Pooling pooling;
  ATTUNE_ASSIGN_OR_RETURN(const json modules, ReadBeside(folder, "modules.json"));
  for (const json& module : modules.is_array() ? modules : json::array()) {
    const json type = module.is_object() ? module.value("type", json()) : json();
    pooling.normalize |= type.is_string() && type.get<std::string>().ends_with(".Normalize");
  }
  ATTUNE_ASSIGN_OR_RETURN(const json sentences, ReadBeside(folder, "sentence_bert_config.json"));
  const json most = sentences.is_object() ? sentences.value("max_seq_length", json()) : json();
  if (most.is_number_unsigned()) {
    const uint64_t tokens = std::min<uint64_t>(most.get<uint64_t>(), INT64_MAX);
    pooling.tokens_max = std::max<int64_t>(1, static_cast<int64_t>(tokens));
  }
  return pooling;
}

void Normalize(std::vector<float>* embedding) {
  double squares = 0;
  for (const float value : *embedding) squares += static_cast<double>(value) * value;
  const double length = std::max(std::sqrt(squares), 1e-12);
  for (float& value : *embedding) value = static_cast<float>(value / length);
}

}  // namespace

Result<TextEmbedder> TextEmbedder::Open(const ModelFiles& files, LanguageModel* model,
                                        const text::TextAssets* text, int64_t max_tokens) {
  TextEmbedder embedder(model, text);
  Pooling pooling;
  if (!model->predicts_next()) {
    ATTUNE_ASSIGN_OR_RETURN(pooling, ReadPooling(RootOf(files).path));
  }
  embedder.normalizes_ = pooling.normalize;
  embedder.tokens_max_ =
      static_cast<size_t>(std::min({max_tokens, model->max_positions(), pooling.tokens_max}));
  // A decoder predicts all tokens but the first; for an encoder-decoder a text is a source.
  embedder.predicts_ = model->predicts_next() && !model->reads_sources();
  embedder.keeps_end_ = !embedder.predicts_;
  return embedder;
}

Result<TokenizedExample> TextEmbedder::Tokenize(const std::string& text) const {
  ATTUNE_ASSIGN_OR_RETURN(auto encoded, text_->tokenizer->EncodeBatch({text}, true, 1));
  TokenizedExample example;
  example.tokens = std::move(encoded[0]);
  example.truncated = example.tokens.size() > tokens_max_;
  if (example.truncated) {
    const uint32_t end = example.tokens.back();
    example.tokens.resize(tokens_max_);
    if (keeps_end_) example.tokens.back() = end;
  }
  example.targets.assign(example.tokens.size(), predicts_ ? 1 : 0);
  if (!example.targets.empty()) example.targets[0] = 0;
  return example;
}

Result<std::vector<MeasuredExample>> TextEmbedder::Embed(
    std::vector<TokenizedExample> examples, const at::Device& device,
    const std::function<Status()>& proceed) const {
  ATTUNE_ASSIGN_OR_RETURN(
      std::vector<MeasuredExample> measured,
      MeasureExamples(*model_, std::move(examples), /*every_row=*/true, device, proceed));
  if (normalizes_) {
    for (MeasuredExample& example : measured) Normalize(&example.embedding);
  }
  return measured;
}

}  // namespace attune::engine
