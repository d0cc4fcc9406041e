#include "coordinator/datasets/row.h"

#include <cstdlib>

#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "coordinator/datasets/messages.h"
#include "coordinator/datasets/row_json.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr size_t kKeyBytesMax = 100;

Result<RowJson> ParseObject(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(RowJson json, ParseRowJson(line));
  if (json.is_object()) return json;
  std::string hint = json.is_array() ? " (a JSON array? write one object a line)" : "";
  return InvalidArgument("the line is not a JSON object" + hint);
}

Result<uint64_t> CheckChat(const RowJson& row) {
  ATTUNE_ASSIGN_OR_RETURN(Conversation chat, CheckMessages(row["messages"], "messages"));
  if (chat.answers) return chat.characters;
  return InvalidArgument("no assistant message with content or tool_calls: nothing to learn from");
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

bool HasConversations(const RowJson& row) {
  auto it = row.find("conversations");
  return it != row.end() && it->is_array() && !row.contains("messages");
}

Result<RowKind> KindOf(const RowJson& row) {
  if (row.contains("messages") || HasConversations(row)) return RowKind::kMessages;
  bool prompt = row.contains("prompt"), completion = row.contains("completion");
  if (prompt && completion) return RowKind::kPromptCompletion;
  if (row.contains("text")) return RowKind::kText;
  if (prompt) return InvalidArgument("prompt without completion");
  if (completion) return InvalidArgument("completion without prompt (it may be an empty string)");
  return InvalidArgument("has none of: messages, prompt and completion, text");
}

Result<uint64_t> CheckKind(const RowJson& row, RowKind kind) {
  switch (kind) {
    case RowKind::kMessages:
      return CheckChat(row);
    case RowKind::kPromptCompletion:
      return CheckPair(row);
    case RowKind::kText:
      return CheckText(row);
  }
  return Internal("unknown kind of row");
}

bool IsContentKey(RowKind kind, const std::string& key) {
  switch (kind) {
    case RowKind::kMessages:
      return key == "messages";
    case RowKind::kPromptCompletion:
      return key == "prompt" || key == "completion";
    case RowKind::kText:
      return key == "text";
  }
  return false;
}

// Tools belong to messages alone.
bool TakesTools(const RowJson& row, RowKind kind) {
  return kind == RowKind::kMessages ||
         (kind == RowKind::kPromptCompletion && row["prompt"].is_array());
}

// What is learned from, in the row's own order; the other keys are only named.
Result<RowJson> ContentOf(const RowJson& row, RowKind kind, std::vector<std::string>* ignored) {
  RowJson content = RowJson::object();
  for (const auto& [key, value] : row.items()) {
    if (IsContentKey(kind, key)) {
      content[key] = value;
    } else if (kind == RowKind::kMessages && key == "conversations" && HasConversations(row)) {
      content["messages"] = FromConversations(value);
    } else if (key == "tools" && TakesTools(row, kind)) {
      ATTUNE_ASSIGN_OR_RETURN(std::optional<RowJson> tools, ReadTools(value));
      if (tools) content[key] = *std::move(tools);
    } else {
      ignored->push_back(Shorten(key, kKeyBytesMax));
    }
  }
  return content;
}

}  // namespace

std::string_view RowKindName(RowKind kind) {
  switch (kind) {
    case RowKind::kMessages:
      return "messages";
    case RowKind::kPromptCompletion:
      return "prompt_completion";
    case RowKind::kText:
      return "text";
  }
  return "";
}

Result<Row> ParseRow(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(const RowJson json, ParseObject(line));
  ATTUNE_ASSIGN_OR_RETURN(const RowKind kind, KindOf(json));
  Row row{kind, "", "", 0, {}};
  ATTUNE_ASSIGN_OR_RETURN(const RowJson content, ContentOf(json, kind, &row.ignored_keys));
  ATTUNE_ASSIGN_OR_RETURN(row.characters, CheckKind(content, kind));
  row.content = content.dump();
  // nlohmann::json sorts the keys, so that the order of a row's keys does not make another example.
  row.id = Sha256Hex(nlohmann::json(content).dump()).substr(0, 32);
  return row;
}

std::string ShardLine(const Row& row) {
  std::string line = "{\"id\":\"" + row.id + "\",\"kind\":\"";
  line.append(RowKindName(row.kind)).append("\",").append(row.content, 1).append("\n");
  return line;
}

std::string_view SplitOf(std::string_view id, double validation_fraction) {
  // 52 bits: exact in a double.
  std::string digits(id.substr(0, 13));
  double position = static_cast<double>(std::strtoull(digits.c_str(), nullptr, 16)) / 0x1p52;
  return position < validation_fraction ? "validation" : "train";
}

}  // namespace attune::datasets
