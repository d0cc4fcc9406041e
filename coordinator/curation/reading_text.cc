#include "coordinator/curation/reading_text.h"

namespace attune::curation {
namespace {

using Json = nlohmann::ordered_json;

void Append(const std::string& part, std::string* text) {
  if (part.empty()) return;
  if (!text->empty()) *text += '\n';
  *text += part;
}

// A string, or a list of parts that have one under "text".
void AppendContent(const Json& content, std::string* text) {
  if (const auto* whole = content.get_ptr<const std::string*>()) return Append(*whole, text);
  if (!content.is_array()) return;
  for (const Json& part : content) {
    const auto found = part.is_object() ? part.find("text") : part.end();
    if (!part.is_object() || found == part.end()) continue;
    if (const auto* piece = found->get_ptr<const std::string*>()) Append(*piece, text);
  }
}

void AppendMessages(const Json& messages, std::string* text) {
  for (const Json& message : messages) {
    if (!message.is_object()) continue;
    const auto role = message.find("role");
    if (role != message.end() && (*role == "system" || *role == "developer")) continue;
    if (const auto content = message.find("content"); content != message.end()) {
      AppendContent(*content, text);
    }
    if (const auto calls = message.find("tool_calls"); calls != message.end()) {
      if (calls->is_array() && !calls->empty()) Append(calls->dump(), text);
    }
  }
}

}  // namespace

std::string ReadingText(const Json& content) {
  std::string text;
  for (const char* key : {"messages", "prompt", "completion", "text", "chosen", "rejected"}) {
    const auto found = content.find(key);
    if (found == content.end()) continue;
    if (found->is_array()) AppendMessages(*found, &text);
    if (const auto* whole = found->get_ptr<const std::string*>()) Append(*whole, &text);
  }
  return text;
}

}  // namespace attune::curation
