#include "worker/engine/data/chat_spans.h"

#include <algorithm>
#include <string_view>

#include "worker/engine/data/trimmed.h"

namespace attune::engine {
namespace {

constexpr char kAdvice[] =
    "; give the template {% generation %} blocks, split the conversation so that it ends with this "
    "turn, or set loss_on: all";

bool IsAssistant(const ExampleJson& message) {
  auto role = message.find("role");
  return role != message.end() && *role == "assistant";
}

bool HasParts(const ExampleJson& message) {
  auto content = message.find("content");
  return content != message.end() && content->is_array();
}

// The texts of each content's parts in one string.
ExampleJson WithoutParts(ExampleJson messages) {
  for (ExampleJson& message : messages) {
    if (!HasParts(message)) continue;
    std::string text;
    for (const ExampleJson& part : message["content"]) {
      auto words = part.find("text");
      if (words != part.end() && words->is_string()) text += words->get<std::string>();
    }
    message["content"] = std::move(text);
  }
  return messages;
}

Status CheckList(const ExampleJson& messages) {
  const bool objects =
      messages.is_array() &&
      std::ranges::all_of(messages, [](const auto& message) { return message.is_object(); });
  return objects ? Status() : InvalidArgument("the messages are not a list of objects");
}

size_t CommonPrefix(const std::string& a, const std::string& b) {
  size_t length = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  auto continues = [&](size_t i) { return i < a.size() && (a[i] & 0xc0) == 0x80; };
  while (length > 0 && continues(length)) --length;
  return length;
}

// How long the longest end of `a` is that `b` begins with (Knuth, Morris, Pratt 1977).
size_t Overlap(std::string_view a, std::string_view b) {
  if (b.empty()) return 0;
  std::vector<size_t> border(b.size(), 0);  // the same of b[1..i] and b
  size_t same = 0;
  const auto next = [&](char c) {
    while (same > 0 && (same == b.size() || b[same] != c)) same = border[same - 1];
    if (b[same] == c) ++same;
  };
  for (size_t i = 1; i < b.size(); ++i) {
    next(b[i]);
    border[i] = same;
  }
  same = 0;
  for (const char c : a) next(c);
  return same;
}

constexpr std::string_view kReasoned = "</think>";

// Whether a turn of which the template leaves `left_out` out and prints `kept` still says what the
// message does, but for its reasoning.
bool SaysAll(const ExampleJson& message, std::string_view left_out, std::string_view kept) {
  auto content = message.find("content");
  std::string_view text;
  if (content != message.end() && content->is_string())
    text = content->get_ref<const std::string&>();
  const size_t reasoned = text.rfind(kReasoned);
  if (reasoned != std::string_view::npos) text.remove_prefix(reasoned + kReasoned.size());
  text = Trimmed(text);
  // A turn without words calls tools.
  return text.empty() ? Trimmed(left_out).ends_with(kReasoned)
                      : kept.find(text) != std::string_view::npos;
}

}  // namespace

ChatRenderer::ChatRenderer(const text::ChatTemplate& chat_template, const ExampleJson* tools)
    : template_(chat_template), tools_(tools == nullptr ? "" : tools->dump()) {}

Result<std::string> ChatRenderer::Render(const ExampleJson& messages,
                                         bool add_generation_prompt) const {
  return template_.Render(messages.dump(), add_generation_prompt, tools_);
}

// False when the template fails on a list of parts, or prints it as Python or JSON would.
bool ChatRenderer::TakesParts(const ExampleJson& messages) const {
  if (std::ranges::none_of(messages, HasParts)) return true;
  auto printed = Render(messages, false);
  return printed.ok() && printed->find("'type': 'text'") == std::string::npos &&
         printed->find("\"type\": \"text\"") == std::string::npos;
}

Result<RenderedChat> ChatRenderer::Chat(const ExampleJson& messages, bool find_said) const {
  ATTUNE_RETURN_IF_ERROR(CheckList(messages));
  if (!TakesParts(messages)) return Chat(WithoutParts(messages), find_said);
  if (!find_said || !template_.marks_generation()) return Turns(messages, find_said);
  ATTUNE_ASSIGN_OR_RETURN(text::MarkedText marked, template_.RenderMarked(messages.dump(), tools_));
  RenderedChat chat{std::move(marked.text), {}};
  for (const auto& [begin, end] : marked.generated) chat.said.push_back({begin, end});
  return chat;
}

Result<RenderedChat> ChatRenderer::Turns(const ExampleJson& messages, bool find_said) const {
  RenderedChat chat;
  ATTUNE_ASSIGN_OR_RETURN(chat.text, Render(messages, false));
  ExampleJson before = ExampleJson::array();
  for (size_t turn = 0; turn < messages.size() && find_said; ++turn) {
    if (!IsAssistant(messages[turn])) {
      before.push_back(messages[turn]);
      continue;
    }
    Span span{0, chat.text.size()};
    auto begin = BeginOfTurn(chat.text, before);
    if (!begin.ok()) return begin.status().WithContext("message " + std::to_string(turn));
    span.begin = *begin;
    before.push_back(messages[turn]);
    if (turn + 1 < messages.size()) {
      auto end = EndOfTurn(chat.text, span.begin, before);
      if (!end.ok()) return end.status().WithContext("message " + std::to_string(turn));
      span.end = *end;
    }
    chat.said.push_back(span);
  }
  return chat;
}

// A generation prompt may promise what a turn does not have, as the "<think>" of a reasoning model:
// then the turn begins where the two part, which must be inside the generation prompt.
Result<size_t> ChatRenderer::BeginOfTurn(const std::string& whole,
                                         const ExampleJson& before) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::string prompted, Render(before, true));
  if (whole.starts_with(prompted)) return prompted.size();
  ATTUNE_ASSIGN_OR_RETURN(const std::string start, Render(before, false));
  const size_t common = CommonPrefix(whole, prompted);
  if (whole.starts_with(start) && common > start.size()) return common;
  return InvalidArgument(
      std::string("the chat template renders the conversation before this turn differently when "
                  "the turn follows, so that it cannot be told apart") +
      kAdvice);
}

// Some templates print "<think>...</think>" only while no more follows, as Qwen3's does: then the
// turn is what of it stands at the same place of the whole.
Result<size_t> ChatRenderer::EndOfTurn(const std::string& whole, size_t begin,
                                       const ExampleJson& until) const {
  ATTUNE_ASSIGN_OR_RETURN(const std::string start, Render(until, false));
  if (whole.starts_with(start)) return start.size();
  if (start.compare(0, begin, whole, 0, begin) == 0) {
    const std::string_view turn = std::string_view(start).substr(begin);
    const std::string_view rest = std::string_view(whole).substr(begin, turn.size());
    const size_t kept = Overlap(turn, rest), left_out = turn.size() - kept;
    if (SaysAll(until.back(), turn.substr(0, left_out), turn.substr(left_out))) return begin + kept;
  }
  return InvalidArgument(
      std::string("the chat template renders the conversation up to this turn differently when "
                  "more follows, so that the turn cannot be told apart") +
      kAdvice);
}

Result<RenderedPair> ChatRenderer::Pair(const ExampleJson& prompt,
                                        const ExampleJson& completion) const {
  ATTUNE_RETURN_IF_ERROR(CheckList(prompt));
  ATTUNE_RETURN_IF_ERROR(CheckList(completion));
  ExampleJson messages = prompt;
  messages.insert(messages.end(), completion.begin(), completion.end());
  if (!TakesParts(messages)) return Pair(WithoutParts(prompt), WithoutParts(completion));
  RenderedPair pair;
  ATTUNE_ASSIGN_OR_RETURN(pair.prompt, Render(prompt, true));
  ATTUNE_ASSIGN_OR_RETURN(pair.whole, Render(messages, false));
  return pair;
}

}  // namespace attune::engine
