#pragma once

// What the ways to generate share.

#include <cstdint>
#include <random>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/model/language_model.h"

namespace attune::engine {

Status CheckRequest(const std::vector<uint32_t>& prompt,
                    const LanguageModel::GenerateOptions& options, int64_t vocabulary);

// The likeliest token, or a random one as the options say, which takes one number of `random` in
// any case. logits: [count].
uint32_t ChooseToken(const float* logits, int64_t count,
                     const LanguageModel::GenerateOptions& options, std::mt19937_64& random);

}  // namespace attune::engine
