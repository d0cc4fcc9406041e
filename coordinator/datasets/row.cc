#include "coordinator/datasets/row.h"

#include <algorithm>

#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "coordinator/curation/reading_text.h"
#include "coordinator/datasets/instruction.h"
#include "coordinator/datasets/messages.h"
#include "coordinator/datasets/preference.h"
#include "coordinator/datasets/row_json.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr size_t kKeyBytesMax = 100;
constexpr size_t kIdDigits = 32;
constexpr const char* kLineStart = "{\"id\":\"";

Result<RowJson> ParseObject(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(RowJson json, ParseRowJson(line));
  if (json.is_object()) return json;
  std::string hint = json.is_array() ? " (a JSON array? write one object a line)" : "";
  return InvalidArgument("the line is not a JSON object" + hint);
}

// Tables have lists as JSON text. What is none stays a string, which is complained about later.
Status ParseLists(RowJson* row) {
  for (const char* key : {"messages", "conversations"}) {
    auto it = row->find(key);
    if (it == row->end() || !it->is_string()) continue;
    const std::string& text = it->get_ref<const std::string&>();
    const size_t first = text.find_first_not_of(" \t\r\n");
    if (first == std::string::npos || text[first] != '[') continue;
    auto list = ParseRowJson(text, /*depth=*/1);
    if (!list.ok()) return list.status().WithContext(key);
    *it = *std::move(list);
  }
  return Status();
}

// Makes the row a kPrompt when it has no answer and may be so.
Status CheckChat(const RowJson& content, bool allow_unlabelled, Row* row) {
  ATTUNE_ASSIGN_OR_RETURN(Conversation chat, CheckMessages(content["messages"], "messages"));
  row->characters = chat.characters;
  if (chat.answers) return Status();
  if (!allow_unlabelled) {
    return InvalidArgument(
        "no assistant message with content or tool_calls: nothing to learn from");
  }
  if (!chat.says) return InvalidArgument("messages say nothing");
  row->kind = RowKind::kPrompt;
  return Status();
}

Result<uint64_t> CheckChatPair(const RowJson& row) {
  ATTUNE_ASSIGN_OR_RETURN(Conversation prompt, CheckMessages(row["prompt"], "prompt"));
  ATTUNE_ASSIGN_OR_RETURN(Conversation completion, CheckMessages(row["completion"], "completion"));
  if (!completion.says) return InvalidArgument("completion is empty: nothing to learn from");
  return prompt.characters + completion.characters;
}

Result<uint64_t> CheckPair(const RowJson& row) {
  if (row["prompt"].is_array() && row["completion"].is_array()) return CheckChatPair(row);
  const std::string* prompt = StringAt(row, "prompt");
  const std::string* completion = StringAt(row, "completion");
  if (prompt == nullptr || completion == nullptr) {
    return InvalidArgument("prompt and completion must be two strings or two lists of messages");
  }
  if (IsBlank(*completion)) return InvalidArgument("completion is empty: nothing to learn from");
  return CountCodePoints(*prompt) + CountCodePoints(*completion);
}

Result<uint64_t> CheckText(const RowJson& row) {
  const std::string* text = StringAt(row, "text");
  if (text == nullptr) return InvalidArgument("text must be a string");
  if (IsBlank(*text)) return InvalidArgument("text is empty");
  return CountCodePoints(*text);
}

Result<uint64_t> CheckPrompt(const RowJson& row) {
  if (row["prompt"].is_array()) {
    ATTUNE_ASSIGN_OR_RETURN(Conversation prompt, CheckMessages(row["prompt"], "prompt"));
    if (!prompt.says) return InvalidArgument("prompt is empty");
    return prompt.characters;
  }
  const std::string* prompt = StringAt(row, "prompt");
  if (prompt == nullptr) return InvalidArgument("prompt must be a string or a list of messages");
  if (IsBlank(*prompt)) return InvalidArgument("prompt is empty");
  return CountCodePoints(*prompt);
}

bool HasConversations(const RowJson& row) {
  auto it = row.find("conversations");
  return it != row.end() && it->is_array() && !row.contains("messages");
}

// Whether the row is an instruction when it is nothing that goes before.
bool HasInstruction(const RowJson& row) {
  return row.contains("instruction") && row.contains("output");
}

bool IsChat(const RowJson& row) {
  return row.contains("messages") || HasConversations(row);
}

// Whether there is a completion that is more than the place of one, as tables have it.
bool HasCompletion(const RowJson& row) {
  auto it = row.find("completion");
  if (it == row.end() || it->is_null()) return false;
  const std::string* text = it->get_ptr<const std::string*>();
  return text != nullptr ? !IsBlank(*text) : !(it->is_array() && it->empty());
}

// Another key of a row without an answer that looks like one: its completion by another name.
std::string LikelyAnswer(const RowJson& row) {
  static constexpr std::string_view kNames[] = {"answer",     "answers", "assistant", "chosen",
                                                "completion", "output",  "reply",     "response",
                                                "solution",   "target"};
  for (const auto& [key, value] : row.items()) {
    std::string lower = key;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (std::ranges::find(kNames, lower) == std::end(kNames)) continue;
    const std::string* text = value.get_ptr<const std::string*>();
    if (text != nullptr ? !IsBlank(*text) : !value.empty()) return key;  // null is empty, too
  }
  return "";
}

bool IsPair(const RowJson& row, bool allow_unlabelled) {
  return row.contains("prompt") && row.contains("completion") &&
         (!allow_unlabelled || HasCompletion(row));
}

// Unpaired preferences (trl's KTO) look like pairs of which half must not be learned. A label that
// is no boolean, or true, is metadata like any other.
Status CheckWanted(const RowJson& row, RowKind kind) {
  const auto label = row.find("label");
  if (kind != RowKind::kPromptCompletion || label == row.end() || *label != false) return Status();
  return InvalidArgument("label is false: an answer that was not wanted (KTO) is not learned");
}

// Of a row that is of no kind.
Status WhyNoKind(const RowJson& row) {
  if (row.contains("chosen") && row.contains("rejected") && row.contains("instruction")) {
    return InvalidArgument(
        "chosen and rejected beside an instruction: map it: prompt=instruction, chosen=chosen, "
        "rejected=rejected");
  }
  const std::string answer = LikelyAnswer(row);
  if (row.contains("prompt")) {
    return InvalidArgument("prompt without completion" +
                           (answer.empty() ? "" : ": " + AnswerUnder(answer)));
  }
  if (row.contains("instruction")) {
    return InvalidArgument(
        "instruction without output" +
        (answer.empty() ? "" : ": if '" + answer + "' is its answer, map it: output=" + answer));
  }
  if (row.contains("completion")) {
    return InvalidArgument("completion without prompt (it may be an empty string)");
  }
  return InvalidArgument(
      "has none of: messages, prompt and completion, instruction and output, text, chosen and "
      "rejected");
}

Result<RowKind> KindOf(const RowJson& row, bool allow_unlabelled) {
  if (IsChat(row)) return RowKind::kMessages;
  if (IsPair(row, allow_unlabelled)) return RowKind::kPromptCompletion;
  if (HasInstruction(row)) return RowKind::kMessages;
  if (row.contains("text")) return RowKind::kText;
  if (IsPreference(row)) return RowKind::kPreference;
  if (!allow_unlabelled) return WhyNoKind(row);
  if (row.contains("prompt")) return RowKind::kPrompt;
  return row.contains("instruction") ? RowKind::kMessages : Result<RowKind>(WhyNoKind(row));
}

// Whether the row's messages are made of its instruction.
bool IsInstruction(const RowJson& row, RowKind kind) {
  return kind == RowKind::kMessages && !IsChat(row);
}

std::string_view ShapeOf(const RowJson& row, RowKind kind) {
  if (IsInstruction(row, kind)) return "instruction";
  if (kind == RowKind::kMessages && !row.contains("messages")) return "conversations";
  return RowKindName(kind);
}

// Sets row's characters and, when it turns out to have no answer, its kind.
Status CheckContent(const RowJson& content, bool allow_unlabelled, Row* row) {
  if (row->kind == RowKind::kMessages) return CheckChat(content, allow_unlabelled, row);
  Result<uint64_t> characters = row->kind == RowKind::kPromptCompletion ? CheckPair(content)
                                : row->kind == RowKind::kPreference     ? CheckPreference(content)
                                : row->kind == RowKind::kPrompt         ? CheckPrompt(content)
                                                                        : CheckText(content);
  if (!characters.ok()) return characters.status();
  row->characters = *characters;
  return Status();
}

bool IsContentKey(RowKind kind, const std::string& key) {
  switch (kind) {
    case RowKind::kMessages:
      return key == "messages";
    case RowKind::kPromptCompletion:
      return key == "prompt" || key == "completion";
    case RowKind::kText:
      return key == "text";
    case RowKind::kPrompt:
      return key == "prompt";
    case RowKind::kPreference:
      return IsPreferenceKey(key);
  }
  return false;
}

// Tools belong to messages alone.
bool TakesTools(const RowJson& row, RowKind kind) {
  if (kind == RowKind::kText) return false;
  if (kind == RowKind::kPreference) return row["chosen"].is_array();
  return kind == RowKind::kMessages || row["prompt"].is_array();
}

// What is learned from, in the row's own order, moved out of it; keys that are no metadata either
// are only named.
Result<RowJson> TakeContent(RowJson& row, RowKind kind, std::vector<std::string>* ignored) {
  RowJson content = RowJson::object();
  const bool takes_tools = TakesTools(row, kind);
  const bool instruction = IsInstruction(row, kind);
  if (instruction) {
    ATTUNE_ASSIGN_OR_RETURN(content["messages"], FromInstruction(row));
  }
  for (auto it = row.begin(); it != row.end(); ++it) {
    const std::string& key = it.key();
    if (instruction && IsInstructionKey(key)) continue;
    if (IsContentKey(kind, key)) {
      content[key] = std::move(*it);
    } else if (kind == RowKind::kMessages && key == "conversations" && HasConversations(row)) {
      content["messages"] = FromConversations(*it);
    } else if (key == "tools" && takes_tools) {
      ATTUNE_ASSIGN_OR_RETURN(std::optional<RowJson> tools, ReadTools(*it));
      if (tools) content[key] = *std::move(tools);
    } else if (!IsMetadataKey(key)) {
      ignored->push_back(Shorten(key, kKeyBytesMax));
    }
  }
  return content;
}

bool IsId(std::string_view text) {
  return text.size() == kIdDigits && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

std::string AnswerUnder(const std::string& key) {
  return "if '" + key +
         "' is its answer, name that key completion (beside messages: make it the assistant's "
         "message), else leave it out";
}

std::string_view RowKindName(RowKind kind) {
  switch (kind) {
    case RowKind::kMessages:
      return "messages";
    case RowKind::kPromptCompletion:
      return "prompt_completion";
    case RowKind::kText:
      return "text";
    case RowKind::kPrompt:
      return "prompt";
    case RowKind::kPreference:
      return "preference";
  }
  return "";
}

Result<Row> ParseRow(std::string_view line, bool allow_unlabelled, const Mapping* mapping) {
  ATTUNE_ASSIGN_OR_RETURN(RowJson json, ParseObject(line));
  Row row;
  if (mapping != nullptr && !mapping->empty()) {
    ATTUNE_ASSIGN_OR_RETURN(json, mapping->Apply(json, &row.ignored_keys));
  }
  ATTUNE_RETURN_IF_ERROR(ParseLists(&json));
  ATTUNE_ASSIGN_OR_RETURN(row.kind, KindOf(json, allow_unlabelled));
  ATTUNE_RETURN_IF_ERROR(CheckWanted(json, row.kind));
  row.shape = ShapeOf(json, row.kind);
  if (row.kind == RowKind::kPreference) {
    ReadTablePreference(&json);
    PlacePrompt(&json);
  }
  ATTUNE_ASSIGN_OR_RETURN(const RowJson content, TakeContent(json, row.kind, &row.ignored_keys));
  ATTUNE_RETURN_IF_ERROR(CheckContent(content, allow_unlabelled, &row));
  if (row.kind == RowKind::kPrompt) row.likely_answer = LikelyAnswer(json);
  row.metadata = ReadMetadata(json, &row.ignored_keys);
  row.reading_text = curation::ReadingText(content);
  row.content = DumpRowJson(content);
  // With sorted keys, so that the order of a row's keys does not make another example.
  row.id = Sha256Hex(DumpSortedRowJson(content)).substr(0, kIdDigits);
  return row;
}

std::string ShardLine(const Row& row) {
  std::string line = kLineStart + row.id + "\",\"kind\":\"";
  line.append(RowKindName(row.kind)).append("\",").append(row.content, 1);
  if (!row.metadata.empty()) {
    line.pop_back();
    line.append(",\"metadata\":").append(nlohmann::json(row.metadata).dump()).append("}");
  }
  return line.append("\n");
}

Result<std::string_view> IdOfShardLine(std::string_view line) {
  const std::string_view start = kLineStart;
  if (!line.starts_with(start) || !IsId(line.substr(start.size(), kIdDigits))) {
    return DataLoss("an example does not begin with its id");
  }
  return line.substr(start.size(), kIdDigits);
}

// What was checked when it was imported is not checked again: the file's checksum says that it is
// the same.
Result<Row> ParseShardLine(std::string_view line) {
  Row row;
  ATTUNE_ASSIGN_OR_RETURN(row.id, IdOfShardLine(line));
  const RowJson json = RowJson::parse(line, nullptr, /*allow_exceptions=*/false);
  const std::string* name = json.is_object() ? StringAt(json, "kind") : nullptr;
  if (name == nullptr) return DataLoss("example " + row.id + " is not a JSON object with a kind");
  Result<RowKind> kind = KindOf(json, /*allow_unlabelled=*/true);
  Status status = kind.status();
  if (kind.ok()) {
    row.kind = *kind;
    status = CheckContent(json, /*allow_unlabelled=*/true, &row);
  }
  if (status.ok() && *name != RowKindName(row.kind)) {
    status = InvalidArgument("its kind is not \"" + std::string(RowKindName(row.kind)) + "\"");
  }
  if (!status.ok()) return DataLoss("example " + row.id + ": " + status.message());
  row.metadata = ReadMetadata(json, &row.ignored_keys);
  return row;
}

std::string_view SplitOf(const ExampleId& id, double validation_fraction) {
  // 52 bits: exact in a double.
  const double position = static_cast<double>(id.high >> 12) / 0x1p52;
  return position < validation_fraction ? "validation" : "train";
}

}  // namespace attune::datasets
