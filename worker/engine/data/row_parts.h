#pragma once

// What of a row is asked, what answers it, and what it says as a whole.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "worker/text/text.h"

namespace attune::engine {

// A row cut in two before its last answer: the completion, or the last turn of the assistant.
struct RowParts {
  std::string asked;      // for people and judges: a text, or "role: content" of every turn
  std::string reference;  // the answer's text
};
// Of a plain text, all is reference. Empty reference: there is none, as in a call of a tool.
Result<RowParts> PartsOf(std::string_view line);

struct PromptText {
  std::string text;          // as the model reads it
  bool add_special = false;  // the tokenizer adds what begins a sequence
};
// What the row's answer follows in training. kInvalidArgument when it is a plain text, or when the
// chat template cannot take it.
Result<PromptText> PromptOf(std::string_view line, const text::TextAssets& assets);

// The row with another answer in place of its own, and nothing after it; white space around the own
// one stays.
Result<std::string> WithAnswer(std::string_view line, std::string_view answer);

// What the row says, in reading order and without a chat template: the text, prompt and completion
// as one, or with newlines between the messages' contents, or prompt, chosen and rejected.
Result<std::string> ReadingText(std::string_view line);

// The row's `metadata`: texts by key.
Result<std::map<std::string, std::string>> MetadataOf(std::string_view line);

}  // namespace attune::engine
