#pragma once

// The embeddings that an encoder makes of the texts of a GenerateTask.

#include "common/base/status.h"
#include "worker/engine/engine.h"
#include "worker/engine/model/language_model.h"
#include "worker/text/text.h"

namespace attune::engine {

// Reports a line per text; those too long for the model are cut.
Status EmbedPrompts(LanguageModel& model, const text::TextAssets& text, const GenerateTask& task,
                    const at::Device& device, Observer& observer);

}  // namespace attune::engine
