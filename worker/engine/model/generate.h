#pragma once

// Answers on their way, and how their tokens are chosen.

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/parts/self_attention.h"

namespace attune::engine {

struct Generation {
  std::vector<int64_t> tokens;  // of the sequence that grows: with the prompt, if it begins with it
  int64_t cached = 0;           // of them have keys and values in the caches
  std::vector<LayerCache> caches;  // one for each layer that writes
  size_t prompt = 0;
  int made = 0, max_tokens = 0;  // of the answer
  bool ended = false;
  std::mt19937_64 random;
};

// Every prompt needs a token and room for one. kInvalidArgument names the prompt, if there are
// several.
Status CheckRequest(std::span<const LanguageModel::GeneratePrompt> prompts,
                    const LanguageModel::GenerateOptions& options, int64_t vocabulary);

// The likeliest token, or a random one as the options say, which takes one number of `random` in
// any case. logits: [count].
uint32_t ChooseToken(const float* logits, int64_t count,
                     const LanguageModel::GenerateOptions& options, std::mt19937_64& random);

}  // namespace attune::engine
