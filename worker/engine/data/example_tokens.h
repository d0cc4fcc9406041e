#pragma once

// One example of a dataset as token ids, and which of them are to be learned.
//
// messages           the chat template's rendering of the whole; targets are the tokens of what the
//                    assistant says (chat_spans.h).
// prompt_completion  as trl does; targets start where the tokens of the prompt alone and of both
// first
//                    differ. Lists of messages: the chat template's rendering. Texts: prompt and
//                    completion follow each other as they are, without the chat template, and the
//                    end-of-sequence token follows.
// text               the text and the end-of-sequence token; all are targets.
// preference         nothing: it is unusable.
//
// The first token is never a target: nothing stands before it to predict it from. So it is for
// causal-lm. Of the other objectives an example has, one behind the other:
//
// seq2seq            a prompt and its completion, each framed by the tokenizer; the completion's
//                    tokens are the targets.
// masked-lm          a text; all of its tokens that may be masked are targets.
// classification     a text (or prompt) and one token that is the number of its label in
//                    task.labels, the target.
// embedding          a prompt and its completion, or prompt, chosen and rejected; the first token
//                    of the second counts as the target.
// preference         the prompt with the chosen answer, and with the rejected one; the answers'
//                    tokens are targets.
//
// kTextBegins marks where a text begins behind another (token_shard.h).

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/engine.h"
#include "worker/text/text.h"

namespace attune::engine {

struct TokenizeOptions {
  text::TextAssets assets;
  Objective objective = {.type = "causal-lm"};  // resolved
  bool loss_on_all = false;                     // causal-lm: every token is a target
  size_t sequence_length = 0;                   // of each text; the rest is cut off
  int64_t vocabulary_size = 0;                  // of the model; an id beyond it is an error
};

struct TokenizedExample {
  std::array<uint8_t, 16> id{};
  std::vector<uint32_t> tokens;
  std::vector<uint8_t> targets;
  bool truncated = false;
  bool has_target = false;  // false: nothing to learn, the example is to be dropped
  // Why the example cannot be learned from, as the chat template cannot take it or it is of
  // preferences, with its id and first words; empty when it can. Then there are no tokens.
  std::string unusable;
};

// `line` is a JSON object as in a dataset's shard. An error is one that other examples will have
// too, as a model without a chat template; its message names the example.
Result<TokenizedExample> TokenizeExample(std::string_view line, const TokenizeOptions& options);

}  // namespace attune::engine
