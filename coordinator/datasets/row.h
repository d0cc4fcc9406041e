#pragma once

// One line of an imported JSONL file, checked, identified and reduced to what is learned from. A
// pure function of its bytes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "coordinator/datasets/example_table.h"
#include "coordinator/datasets/mapping.h"
#include "coordinator/datasets/metadata.h"

namespace attune::datasets {

inline constexpr size_t kLineBytesMax = 8 << 20;
inline constexpr size_t kNestingMax = 64;

// kPrompt is a row without an answer: a prompt alone, or messages of which none is the assistant's.
// Shards' indexes have their numbers.
enum class RowKind { kMessages, kPromptCompletion, kText, kPrompt, kPreference };
inline constexpr size_t kRowKinds = 5;

// "messages", "prompt_completion", "text", "prompt" or "preference".
std::string_view RowKindName(RowKind kind);

struct Row {
  RowKind kind = RowKind::kText;
  std::string id;  // the first 32 hexadecimal digits of the SHA-256 of content with sorted keys
  std::string content;  // JSON, in the row's own order: messages, or prompt and completion, or
                        // text, or prompt, chosen and rejected; with messages also tools, if any
  // How it stood there: RowKindName of its kind, or "conversations" or "instruction".
  std::string_view shape;
  uint64_t characters = 0;  // Unicode code points that a model would read
  Metadata metadata;
  std::vector<std::string> ignored_keys;  // keys that are part of neither content nor metadata
  std::string reading_text;               // what it says, as curation compares it (reading_text.h)
  std::string likely_answer;  // of a kPrompt: an ignored key that looks like its answer, or ""
};

// Rows without an answer that have a key which looks like it, where such rows are allowed at all.
enum class LikelyAnswers {
  kRejected,  // whoever imports can give the key the name that it should have
  kIgnored,   // as any other key
};

// A row with `messages` (or `conversations`, see FromConversations) is a conversation, else one
// with `prompt` and `completion` (two texts or two lists of messages) is a pair (refused where its
// `label` is false), else one with `instruction` and `output` is a conversation (see
// FromInstruction), else one with `text` is plain text, else one with `chosen` and `rejected` is a
// preference pair (preference.h). Messages and conversations may be the JSON text of a list, as
// tables have them, and so may a preference's. With allow_unlabelled what has no answer (no
// completion, or null or an empty one; messages without one of the assistant) is a kPrompt, else
// refused. Errors (kInvalidArgument) say what is wrong with the row in words for its author; they
// are valid UTF-8 whatever the bytes. mapping is applied first; null: none.
Result<Row> ParseRow(std::string_view line, bool allow_unlabelled = false,
                     const Mapping* mapping = nullptr);

// What to do about an answer that seems to stand under a key that is none of ours.
std::string AnswerUnder(const std::string& key);

// The line of a shard: content with id and kind in front, and metadata (if any) behind.
std::string ShardLine(const Row& row);

// Of a line that ShardLine wrote, without its end: all but content. kDataLoss when it is none.
Result<Row> ParseShardLine(std::string_view line);

// The id of such a line without reading the rest. kDataLoss when it is none.
Result<std::string_view> IdOfShardLine(std::string_view line);

// "train" or "validation": whether the id, as a number in [0, 1), lies below the fraction. The same
// id is on the same side for the same fraction, and never moves back to train when the fraction
// grows.
std::string_view SplitOf(const ExampleId& id, double validation_fraction);

}  // namespace attune::datasets
