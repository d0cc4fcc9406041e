#pragma once

// One line of an imported JSONL file, checked, identified and reduced to what is learned from. A
// pure function of its bytes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace attune::datasets {

inline constexpr size_t kLineBytesMax = 8 << 20;
inline constexpr size_t kNestingMax = 64;

enum class RowKind { kMessages, kPromptCompletion, kText };

// "messages", "prompt_completion" or "text".
std::string_view RowKindName(RowKind kind);

struct Row {
  RowKind kind;
  std::string id;  // the first 32 hexadecimal digits of the SHA-256 of content with sorted keys
  std::string content;  // JSON, in the row's own order: messages, or prompt and completion, or
                        // text; with messages also tools, if it has any
  uint64_t characters;  // Unicode code points that a model would read
  std::vector<std::string> ignored_keys;  // top-level keys that are no part of content
};

// A row with `messages` (or `conversations`, see FromConversations) is a conversation, else one
// with `prompt` and `completion` (two texts or two lists of messages) is a pair, else one with
// `text` is plain text. Errors (kInvalidArgument) say what is wrong with the row in words for its
// author; they are valid UTF-8 whatever the bytes.
Result<Row> ParseRow(std::string_view line);

// The line of a shard: content with id and kind in front.
std::string ShardLine(const Row& row);

// "train" or "validation": whether the id, as a number in [0, 1), lies below the fraction. The same
// id is on the same side for the same fraction, and never moves back to train when the fraction
// grows.
std::string_view SplitOf(std::string_view id, double validation_fraction);

}  // namespace attune::datasets
