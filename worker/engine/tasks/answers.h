#pragma once

// Greedily generated answers, and how fast they came.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/row_parts.h"
#include "worker/engine/model/language_model.h"
#include "worker/text/text.h"

namespace attune::engine {

// What a text is as a prompt: a user's turn when the model has a chat template, else as it is.
Result<PromptText> UserPrompt(const text::TextAssets& assets, const std::string& text);

// One sequence at a time. Not thread-safe.
class Answers {
 public:
  // All outlive it.
  Answers(LanguageModel* model, const text::TextAssets* assets, Observer* observer)
      : model_(model), assets_(assets), observer_(observer) {}

  // Without special tokens. Empty when the prompt leaves the model no room for a token.
  // kCancelled when the observer wants to stop.
  Result<std::string> Generate(const PromptText& prompt, int max_tokens);

  // Prompts that left no room.
  int64_t without_room() const { return without_room_; }
  // Over all answers; 0: nothing was generated.
  double tokens_per_second() const { return seconds_ > 0 ? tokens_ / seconds_ : 0; }
  // Median over prompts.
  double first_token_seconds() const;

 private:
  LanguageModel* const model_;
  const text::TextAssets* const assets_;
  Observer* const observer_;
  double tokens_ = 0, seconds_ = 0;
  std::vector<double> first_token_seconds_;
  int64_t without_room_ = 0;
};

}  // namespace attune::engine
