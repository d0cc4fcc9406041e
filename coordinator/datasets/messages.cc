#include "coordinator/datasets/messages.h"

#include "common/base/utf8.h"
#include "coordinator/datasets/utf8.h"

namespace attune::datasets {
namespace {

constexpr size_t kTypeBytesMax = 100;

// Adds the text of one part of a content.
Status CheckPart(const RowJson& part, const std::string& where, std::string* text) {
  const std::string* type = part.is_object() ? StringAt(part, "type") : nullptr;
  if (type == nullptr) return InvalidArgument(where + " is not an object with a type");
  if (*type != "text") {
    return InvalidArgument(where + " is of type \"" + Shorten(*type, kTypeBytesMax) +
                           "\": only text can be learned");
  }
  const std::string* words = StringAt(part, "text");
  if (words == nullptr) return InvalidArgument(where + ".text must be a string");
  *text += *words;
  return Status();
}

// Whether the message calls a tool.
Result<bool> CheckCalls(const RowJson& message, const std::string& where) {
  auto calls = message.find("tool_calls");
  if (calls == message.end() || calls->is_null()) return false;
  if (!calls->is_array()) return InvalidArgument(where + ".tool_calls must be a list of objects");
  for (const RowJson& call : *calls) {
    if (!call.is_object()) return InvalidArgument(where + ".tool_calls must be a list of objects");
  }
  return !calls->empty();
}

Result<std::string> ContentOf(const RowJson& message, const std::string& where, bool calls) {
  auto content = message.find("content");
  const bool none = content == message.end() || content->is_null();
  if (none && calls) return std::string();
  if (none || !(content->is_string() || content->is_array())) {
    return InvalidArgument(where + ".content must be a string or a list of text parts" +
                           (none ? " (it may be null beside tool_calls)" : ""));
  }
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  for (size_t i = 0; i < content->size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(
        CheckPart((*content)[i], where + ".content[" + std::to_string(i) + "]", &text));
  }
  return text;
}

Status CheckMessage(const RowJson& message, const std::string& where, Conversation* conversation) {
  if (!message.is_object()) return InvalidArgument(where + " is not an object");
  const std::string* role = StringAt(message, "role");
  if (role == nullptr || IsBlank(*role)) return InvalidArgument(where + ".role must be a string");
  ATTUNE_ASSIGN_OR_RETURN(const bool calls, CheckCalls(message, where));
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ContentOf(message, where, calls));
  conversation->characters += CountCodePoints(text);
  if (calls) conversation->characters += CountCodePoints(message["tool_calls"].dump());
  const bool says = calls || !IsBlank(text);
  conversation->says |= says;
  conversation->answers |= says && *role == "assistant";
  return Status();
}

std::string RoleOfSpeaker(const std::string& speaker) {
  if (speaker == "human") return "user";
  if (speaker == "gpt") return "assistant";
  return speaker;
}

}  // namespace

Result<Conversation> CheckMessages(const RowJson& messages, const std::string& name) {
  if (!messages.is_array()) return InvalidArgument(name + " must be an array");
  if (messages.empty()) return InvalidArgument(name + " is empty");
  Conversation conversation;
  for (size_t i = 0; i < messages.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(
        CheckMessage(messages[i], name + "[" + std::to_string(i) + "]", &conversation));
  }
  return conversation;
}

RowJson FromConversations(const RowJson& conversations) {
  RowJson messages = RowJson::array();
  for (const RowJson& turn : conversations) {
    if (!turn.is_object()) {
      messages.push_back(turn);
      continue;
    }
    RowJson message = RowJson::object();
    for (const auto& [key, value] : turn.items()) {
      if (key == "from") {
        message["role"] =
            value.is_string() ? RowJson(RoleOfSpeaker(value.get<std::string>())) : value;
      } else {
        message[key == "value" ? "content" : key] = value;
      }
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

Result<std::optional<RowJson>> ReadTools(const RowJson& tools) {
  if (tools.is_null()) return std::optional<RowJson>();
  if (const std::string* text = tools.get_ptr<const std::string*>()) {
    if (IsBlank(*text)) return std::optional<RowJson>();
    auto parsed = ParseRowJson(*text, /*depth=*/1);
    if (!parsed.ok()) return parsed.status().WithContext("tools");
    if (!parsed->is_string()) return ReadTools(*parsed);
  }
  const Status bad = InvalidArgument("tools must be a list of objects, or the JSON text of one");
  if (!tools.is_array()) return bad;
  for (const RowJson& tool : tools) {
    if (!tool.is_object()) return bad;
  }
  return std::optional<RowJson>(tools);
}

}  // namespace attune::datasets
