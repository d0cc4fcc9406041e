#pragma once

// One example of a dataset as token ids, and which of them are to be learned. Private to this
// folder.
//
// messages           the chat template's rendering of the whole; targets are the tokens of each
// assistant turn, with what
//                    ends the turn. A turn reaches from the rendering of what came before it, with
//                    the generation prompt, to the rendering up to and with it.
// prompt_completion  as trl does. Texts: prompt and completion follow each other as they are,
// without the chat template,
//                    and the end-of-sequence token follows; targets start where the tokens of the
//                    prompt alone and of both first differ. Lists of messages: the chat template,
//                    targets are what follows the prompt.
// text               the text and the end-of-sequence token; all are targets.
//
// The first token is never a target: nothing stands before it to predict it from.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/text/text.h"

namespace attune::engine {

struct TokenizeOptions {
  text::TextAssets assets;
  bool loss_on_all = false;     // every token is a target
  size_t sequence_length = 0;   // the rest is cut off
  int64_t vocabulary_size = 0;  // of the model; an id beyond it is an error
};

struct TokenizedExample {
  std::array<uint8_t, 16> id{};
  std::vector<uint32_t> tokens;
  std::vector<uint8_t> targets;
  bool truncated = false;
  bool has_target = false;  // false: nothing to learn, the example is to be dropped
};

// `line` is a JSON object as in a dataset's shard. The message of an error names the example.
Result<TokenizedExample> TokenizeExample(std::string_view line, const TokenizeOptions& options);

}  // namespace attune::engine
