#include "coordinator/datasets/row.h"

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/base/hash.h"
#include "common/base/utf8.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

using Json = nlohmann::json;

constexpr size_t kReasonBytesMax = 300;
constexpr size_t kKeyBytesMax = 100;

// Checked before the parser runs: its value tree is written back recursively.
bool NestsTooDeep(std::string_view line) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < line.size(); ++i) {
    char c = line[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kNestingMax) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

bool IsBlank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string::npos;
}

// The parser's own words without its class names: "at column 12: syntax error ...". It quotes what
// it read so far, which may end inside a character.
std::string ParserReason(std::string what) {
  for (size_t bad; (bad = FindInvalidUtf8(what)) != std::string::npos;) what[bad] = '?';
  size_t column = what.find("column ");
  return "not valid JSON at " +
         Shorten(column == std::string::npos ? what : what.substr(column), kReasonBytesMax);
}

Result<Json> ParseObject(std::string_view line) {
  if (size_t bad = FindInvalidUtf8(line); bad != std::string_view::npos) {
    return InvalidArgument("not valid UTF-8 at byte " + std::to_string(bad + 1));
  }
  if (NestsTooDeep(line)) {
    return InvalidArgument("nested deeper than " + std::to_string(kNestingMax) + " levels");
  }
  try {
    Json json = Json::parse(line);
    if (json.is_object()) return json;
    std::string hint = json.is_array() ? " (a JSON array? write one object a line)" : "";
    return InvalidArgument("the line is not a JSON object" + hint);
  } catch (const Json::exception& e) {
    return InvalidArgument(ParserReason(e.what()));
  }
}

const std::string* StringAt(const Json& object, const char* key) {
  auto it = object.find(key);
  return it == object.end() ? nullptr : it->get_ptr<const std::string*>();
}

bool IsRole(const std::string& role) {
  return role == "system" || role == "user" || role == "assistant" || role == "tool";
}

// Adds the message's characters; sets assistant when it is an assistant's turn that says something.
Status CheckMessage(const Json& message, size_t index, uint64_t* characters, bool* assistant) {
  std::string where = "messages[" + std::to_string(index) + "]";
  if (!message.is_object()) return InvalidArgument(where + " is not an object");
  const std::string* role = StringAt(message, "role");
  if (role == nullptr) return InvalidArgument(where + ".role must be a string");
  if (!IsRole(*role)) {
    return InvalidArgument(where + ".role \"" + Shorten(*role, kKeyBytesMax) +
                           "\" is not one of system, user, assistant, tool");
  }
  const std::string* content = StringAt(message, "content");
  if (content == nullptr) return InvalidArgument(where + ".content must be a string");
  *characters += CountCodePoints(*content);
  if (*role == "assistant" && !IsBlank(*content)) *assistant = true;
  return Status();
}

Result<uint64_t> CheckMessages(const Json& messages) {
  if (!messages.is_array()) return InvalidArgument("messages must be an array");
  if (messages.empty()) return InvalidArgument("messages is empty");
  uint64_t characters = 0;
  bool assistant = false;
  for (size_t i = 0; i < messages.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(CheckMessage(messages[i], i, &characters, &assistant));
  }
  if (!assistant)
    return InvalidArgument("no assistant message with content: nothing to learn from");
  return characters;
}

Result<uint64_t> CheckPair(const Json& row) {
  const std::string* prompt = StringAt(row, "prompt");
  const std::string* completion = StringAt(row, "completion");
  if (prompt == nullptr) return InvalidArgument("prompt must be a string");
  if (completion == nullptr) return InvalidArgument("completion must be a string");
  if (IsBlank(*completion)) return InvalidArgument("completion is empty: nothing to learn from");
  return CountCodePoints(*prompt) + CountCodePoints(*completion);
}

Result<uint64_t> CheckText(const Json& row) {
  const std::string* text = StringAt(row, "text");
  if (text == nullptr) return InvalidArgument("text must be a string");
  if (IsBlank(*text)) return InvalidArgument("text is empty");
  return CountCodePoints(*text);
}

Result<RowKind> KindOf(const Json& row) {
  if (row.contains("messages")) return RowKind::kMessages;
  bool prompt = row.contains("prompt"), completion = row.contains("completion");
  if (prompt && completion) return RowKind::kPromptCompletion;
  if (row.contains("text")) return RowKind::kText;
  if (prompt) return InvalidArgument("prompt without completion");
  if (completion) return InvalidArgument("completion without prompt (it may be an empty string)");
  return InvalidArgument("has none of: messages, prompt and completion, text");
}

Result<uint64_t> CheckKind(const Json& row, RowKind kind) {
  switch (kind) {
    case RowKind::kMessages:
      return CheckMessages(row["messages"]);
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
  ATTUNE_ASSIGN_OR_RETURN(Json json, ParseObject(line));
  ATTUNE_ASSIGN_OR_RETURN(RowKind kind, KindOf(json));
  ATTUNE_ASSIGN_OR_RETURN(uint64_t characters, CheckKind(json, kind));
  Row row{kind, "", "", characters, {}};
  for (auto it = json.begin(); it != json.end();) {
    if (IsContentKey(kind, it.key())) {
      ++it;
    } else {
      row.ignored_keys.push_back(Shorten(it.key(), kKeyBytesMax));
      it = json.erase(it);
    }
  }
  row.content = json.dump();  // keys are sorted, as nlohmann::json keeps objects in a std::map
  row.id = Sha256Hex(row.content).substr(0, 32);
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
