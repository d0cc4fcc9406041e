#pragma once

// What a model reads of a prompt.

#include <cstdint>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"
#include "worker/text/text.h"

namespace attune::engine {

// A chat model gets the prompt as the user's turn; its template writes the special tokens itself.
// Else the tokenizer adds them, unless the text begins with one.
Result<std::vector<uint32_t>> EncodePrompt(const text::TextAssets& text, const GenerateTask& task,
                                           const Prompt& prompt);

}  // namespace attune::engine
