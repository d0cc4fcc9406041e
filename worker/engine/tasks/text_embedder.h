#pragma once

// How texts become embeddings: the mean of the last hidden states of a text's tokens.

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"
#include "worker/engine/eval/measure.h"
#include "worker/text/text.h"

namespace attune::engine {

class TextEmbedder {
 public:
  // max_tokens: of a text; what is longer is cut. sentence-transformers' files beside the model
  // (modules.json, sentence_bert_config.json) may ask for fewer, and for unit length. The model and
  // the text outlive it.
  static Result<TextEmbedder> Open(const ModelFiles& files, LanguageModel* model,
                                   const text::TextAssets* text,
                                   int64_t max_tokens = std::numeric_limits<int64_t>::max());

  // No token: the text is empty. Of a decoder all tokens but the first are targets.
  Result<TokenizedExample> Tokenize(const std::string& text) const;
  // In their order. proceed: see MeasureExamples.
  Result<std::vector<MeasuredExample>> Embed(std::vector<TokenizedExample> examples,
                                             const at::Device& device,
                                             const std::function<Status()>& proceed) const;

 private:
  TextEmbedder(LanguageModel* model, const text::TextAssets* text) : model_(model), text_(text) {}

  LanguageModel* model_;
  const text::TextAssets* text_;
  size_t tokens_max_ = 0;
  bool keeps_end_ = false;  // an encoder's text ends with a special token
  bool predicts_ = false;
  bool normalizes_ = false;
};

}  // namespace attune::engine
