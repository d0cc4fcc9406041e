#pragma once

// What a model makes of each of many examples.

#include <functional>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

struct MeasuredExample {
  // Else the model is an encoder, or an encoder-decoder without an answer to predict, and there are
  // no losses and no entropy.
  bool predicted = false;
  double loss_sum = 0;  // negative log likelihoods of its targets, in nats
  int64_t tokens = 0, targets = 0;
  double entropy = 0;            // mean over its tokens of what may follow each, in nats
  std::vector<float> embedding;  // mean over its tokens of the last hidden state
};

// What a classifier makes of a text.
struct LabelledExample {
  std::vector<double> probabilities;  // of each label
  size_t best = 0;                    // the first of the likeliest
};

// Tokens that go through the model at once, unless one example has more.
inline constexpr int64_t kTokensAPass = 4096;

// In the examples' order, several short ones in a pass. every_row: with entropy and embedding. A
// loss that is not finite is kFailedPrecondition. proceed is asked before each pass; its error ends
// the work.
Result<std::vector<MeasuredExample>> MeasureExamples(LanguageModel& model,
                                                     std::vector<TokenizedExample> examples,
                                                     bool every_row, const at::Device& device,
                                                     const std::function<Status()>& proceed);

// The labels of texts (without a label behind them), in their order.
Result<std::vector<LabelledExample>> LabelTexts(LanguageModel& model,
                                                const std::vector<std::span<const uint32_t>>& texts,
                                                const at::Device& device,
                                                const std::function<Status()>& proceed);

}  // namespace attune::engine
