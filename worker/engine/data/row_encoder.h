#pragma once

// One row of a dataset on its way to tokens: its texts, and what may be wrong with it. Private to
// this folder.

#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/chat_spans.h"
#include "worker/engine/data/example_tokens.h"

namespace attune::engine {

class RowEncoder {
 public:
  // Both outlive it.
  RowEncoder(const ExampleJson& row, const TokenizeOptions& options)
      : row_(row), options_(options) {}

  const ExampleJson& row() const { return row_; }
  const TokenizeOptions& options() const { return options_; }
  const text::Tokenizer& tokenizer() const { return *options_.assets.tokenizer; }

  // The text under a key; null when it is none.
  const std::string* TextOf(const char* key) const;
  std::string kind() const;

  // With what ends a sequence, unless the text ends so already.
  std::string WithEnd(std::string text) const;
  // Errors that other rows will have, too.
  Status NeedTemplate() const;
  Status NeedEnd() const;
  ChatRenderer Renderer() const;

  // What is wrong with this row alone, or too much for the template's limits: it is left out. Other
  // errors come back.
  Status Unusable(const Status& status, TokenizedExample* example) const;

  // Tokens of `whole`, of which those from where they differ from the tokens of `prompt` alone are
  // targets.
  Result<TokenizedExample> LearnAfter(const std::string& prompt, const std::string& whole,
                                      bool add_special) const;
  // The same of a prompt and what follows it, each texts or messages; nothing, and `example` says
  // so, where the template cannot take them.
  Status LearnAnswer(const ExampleJson& prompt, const ExampleJson& answer,
                     TokenizedExample* example) const;

 private:
  const ExampleJson& row_;
  const TokenizeOptions& options_;
};

}  // namespace attune::engine
