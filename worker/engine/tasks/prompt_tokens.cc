#include "worker/engine/tasks/prompt_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace attune::engine {
namespace {

// With its keys in the order that the user gave them: templates print it.
Result<std::string> Conversation(const GenerateTask& task, const Prompt& prompt) {
  using Json = nlohmann::ordered_json;
  Json messages = Json::array({Json{{"role", "user"}, {"content", prompt.text}}});
  if (!prompt.messages.empty()) {
    messages = Json::parse(prompt.messages, nullptr, /*allow_exceptions=*/false);
    const bool right = messages.is_array() && !messages.empty() &&
                       std::ranges::all_of(messages, [](const Json& m) { return m.is_object(); });
    if (!right) return InvalidArgument("messages must be an array of objects, and not empty");
  }
  if (!task.system.empty() && messages[0].value("role", Json()) != "system") {
    const Json system = {{"role", "system"}, {"content", task.system}};
    messages.insert(messages.begin(), system);
  }
  return messages.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<std::vector<uint32_t>> EncodePrompt(const text::TextAssets& text, const GenerateTask& task,
                                           const Prompt& prompt) {
  std::string rendered = prompt.text;
  const bool chat = !task.raw && text.chat_template;
  if (!chat && (!prompt.messages.empty() || !task.system.empty())) {
    return InvalidArgument(task.raw ? "messages and a system message need the chat template, which "
                                      "raw leaves out"
                                    : "messages and a system message need a chat template, which "
                                      "the model has not: give the text of the prompt");
  }
  if (chat) {
    ATTUNE_ASSIGN_OR_RETURN(const std::string messages, Conversation(task, prompt));
    ATTUNE_ASSIGN_OR_RETURN(
        rendered, text.chat_template->Render(messages,
                                             /*add_generation_prompt=*/true, prompt.tools));
  }
  const bool begun = !text.bos_token.empty() && rendered.starts_with(text.bos_token);
  ATTUNE_ASSIGN_OR_RETURN(text::Encoding encoding,
                          text.tokenizer->Encode(rendered, /*add_special=*/!chat && !begun));
  if (encoding.ids.empty())
    return InvalidArgument("the prompt is empty: there is nothing to continue");
  return std::move(encoding.ids);
}

}  // namespace attune::engine
