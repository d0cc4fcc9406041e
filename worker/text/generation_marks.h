#pragma once

// Where {% generation %} blocks end up in what a chat template prints: transformers learns on those
// alone (return_assistant_tokens_mask). Private to this folder.

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "worker/text/text.h"

namespace attune::text {

// The same template with a mark before and after what a {% generation %} block prints; the source
// itself when it has no such block.
std::string WithGenerationMarks(std::string_view source);

// Takes the marks out. kInvalidArgument when they are not in pairs, or the rest is not `expected`
// (what the template prints without marks).
Result<MarkedText> TakeMarksOut(std::string_view printed, std::string_view expected);

}  // namespace attune::text
