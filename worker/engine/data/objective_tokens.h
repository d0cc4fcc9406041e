#pragma once

// The tokens of a row for objectives other than that of the next token (example_tokens.h says what
// they are). Private to this folder.

#include "common/base/status.h"
#include "worker/engine/data/example_tokens.h"
#include "worker/engine/data/row_encoder.h"

namespace attune::engine {

Status ObjectiveTokens(const RowEncoder& encoder, TokenizedExample* example);

// Cuts a text's end off. The first token is no target: nothing stands before it.
void CutText(size_t sequence_length, TokenizedExample* example);

}  // namespace attune::engine
