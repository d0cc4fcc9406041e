#include "worker/engine/data/row_parts.h"

#include <nlohmann/json.hpp>

#include "common/scoring/scoring.h"
#include "worker/engine/data/chat_spans.h"

namespace attune::engine {
namespace {

using Json = ExampleJson;

Result<Json> ParseRow(std::string_view line) {
  Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return DataLoss("a row is not a JSON object");
  return row;
}

// A message's text; of content in parts, theirs.
std::string ContentOf(const Json& message) {
  const auto content = message.is_object() ? message.find("content") : message.end();
  if (content == message.end()) return "";
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  for (const Json& part : *content) {
    const auto words = part.is_object() ? part.find("text") : part.end();
    if (words != part.end() && words->is_string()) text += words->get<std::string>();
  }
  return text;
}

void AddContents(const Json& messages, std::string* text) {
  for (const Json& message : messages) {
    const std::string content = ContentOf(message);
    if (content.empty()) continue;
    if (!text->empty()) *text += '\n';
    *text += content;
  }
}

std::string Conversation(const Json& messages) {
  if (messages.size() == 1) return ContentOf(messages[0]);
  std::string text;
  for (const Json& message : messages) {
    if (!message.is_object()) continue;
    text += (text.empty() ? "" : "\n") + message.value("role", "") + ": " + ContentOf(message);
  }
  return text;
}

// The row as two texts or two lists of messages; null: there is no such part.
struct Halves {
  Json before, answer;
};

Halves Split(const Json& row) {
  const auto messages = row.find("messages");
  if (messages != row.end() && messages->is_array()) {
    for (size_t i = messages->size(); i-- > 0;) {
      const Json& message = (*messages)[i];
      if (!message.is_object() || message.value("role", "") != "assistant") continue;
      const auto end = messages->begin() + static_cast<std::ptrdiff_t>(i);
      Json before = Json::array(), answer = Json::array({message});
      before.insert(before.end(), messages->begin(), end);
      return {std::move(before), std::move(answer)};
    }
    return {*messages, nullptr};
  }
  const auto text = row.find("text");
  if (text != row.end()) return {nullptr, *text};
  return {row.value("prompt", Json()), row.value("completion", Json())};
}

std::string AsText(const Json& half) {
  if (half.is_string()) return half.get<std::string>();
  std::string text;
  if (half.is_array()) AddContents(half, &text);
  return text;
}

}  // namespace

Result<RowParts> PartsOf(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(const Json row, ParseRow(line));
  const Halves halves = Split(row);
  return RowParts{halves.before.is_array() ? Conversation(halves.before) : AsText(halves.before),
                  AsText(halves.answer)};
}

Result<PromptText> PromptOf(std::string_view line, const text::TextAssets& assets) {
  ATTUNE_ASSIGN_OR_RETURN(const Json row, ParseRow(line));
  const Halves halves = Split(row);
  if (halves.before.is_string()) return PromptText{halves.before.get<std::string>(), true};
  if (!halves.before.is_array() || !halves.answer.is_array()) {
    return InvalidArgument("there is no prompt to answer: it is a plain text");
  }
  if (assets.chat_template == nullptr) {
    return InvalidArgument("the model has no chat template for a conversation");
  }
  const auto tools = row.find("tools");
  const bool has_tools = tools != row.end() && tools->is_array();
  const ChatRenderer renderer(*assets.chat_template, has_tools ? &*tools : nullptr);
  ATTUNE_ASSIGN_OR_RETURN(RenderedPair pair, renderer.Pair(halves.before, halves.answer));
  return PromptText{std::move(pair.prompt), false};
}

Result<std::string> WithAnswer(std::string_view line, std::string_view answer) {
  ATTUNE_ASSIGN_OR_RETURN(Json row, ParseRow(line));
  Halves halves = Split(row);
  const std::string own = AsText(halves.answer);
  const std::string_view inner = scoring::Trimmed(own);
  std::string text(answer);
  if (!inner.empty()) {
    const auto begin = static_cast<size_t>(inner.data() - own.data());
    text = own.substr(0, begin) + text + own.substr(begin + inner.size());
  }
  if (!halves.answer.is_array()) {
    row[row.contains("text") ? "text" : "completion"] = text;
    return row.dump();
  }
  // The last turn that says something holds the answer.
  Json last = halves.answer.back();
  last["content"] = text;
  if (row.contains("messages")) {
    halves.before.push_back(std::move(last));
    row["messages"] = std::move(halves.before);
  } else {
    row["completion"] = Json::array({std::move(last)});
  }
  return row.dump();
}

Result<std::string> ReadingText(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(const Json row, ParseRow(line));
  std::string text;
  if (const auto messages = row.find("messages"); messages != row.end()) {
    AddContents(*messages, &text);
    return text;
  }
  if (row.contains("chosen")) {
    for (const char* key : {"prompt", "chosen", "rejected"}) {
      const std::string part = AsText(row.value(key, Json()));
      if (!part.empty()) text += (text.empty() ? "" : "\n") + part;
    }
    return text;
  }
  const Halves halves = Split(row);
  if (halves.before.is_array() || halves.answer.is_array()) {
    for (const Json* half : {&halves.before, &halves.answer}) {
      if (half->is_array()) AddContents(*half, &text);
    }
    return text;
  }
  return AsText(halves.before) + AsText(halves.answer);
}

Result<std::map<std::string, std::string>> MetadataOf(std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(const Json row, ParseRow(line));
  std::map<std::string, std::string> texts;
  const auto metadata = row.find("metadata");
  if (metadata == row.end() || !metadata->is_object()) return texts;
  for (const auto& [key, value] : metadata->items()) {
    if (value.is_string()) texts[key] = value.get<std::string>();
  }
  return texts;
}

}  // namespace attune::engine
