#include "worker/engine/data/example_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace attune::engine {
namespace {

// Keeps the order of keys, which a template may print.
using Json = nlohmann::ordered_json;

struct Span {
  size_t begin, end;  // bytes of the text
};

const std::string* TextOf(const Json& row, const char* key) {
  auto found = row.find(key);
  return found == row.end() ? nullptr : found->get_ptr<const std::string*>();
}

// With what ends a sequence, unless the text ends so already.
std::string WithEnd(std::string text, const std::string& eos) {
  if (!eos.empty() && !text.ends_with(eos)) text += eos;
  return text;
}

// Marks the tokens that share a byte with a span. A token whose place is empty (a tokenizer may
// trim white space from the places it reports) counts as the byte before it.
void MarkSpans(const text::Encoding& encoding, const std::vector<Span>& spans,
               std::vector<uint8_t>* targets) {
  for (size_t i = 0; i < encoding.offsets.size(); ++i) {
    size_t begin = encoding.offsets[i].first, end = encoding.offsets[i].second;
    if (begin == end && begin > 0) --begin;
    for (const Span& span : spans) {
      if (std::max(begin, span.begin) < std::min(end, span.end)) (*targets)[i] = 1;
    }
  }
}

class Tokenization {
 public:
  Tokenization(const Json& row, const TokenizeOptions& options) : row_(row), options_(options) {}

  Status Run(TokenizedExample* example) {
    const std::string* kind = TextOf(row_, "kind");
    if (kind == nullptr) return InvalidArgument("\"kind\" is missing");
    if (*kind == "messages") return Messages(example);
    if (*kind == "prompt_completion") return PromptCompletion(example);
    if (*kind == "text") return Text(example);
    return InvalidArgument("the kind \"" + *kind + "\" is not known");
  }

 private:
  Result<std::string> Render(const Json& messages, bool add_generation_prompt) const {
    auto tools = row_.find("tools");
    bool has_tools = tools != row_.end() && tools->is_array();
    return options_.assets.chat_template->Render(messages.dump(), add_generation_prompt,
                                                 has_tools ? tools->dump() : "");
  }

  Status NeedTemplate() const {
    if (options_.assets.chat_template != nullptr) return Status();
    return InvalidArgument(
        "the dataset has messages, but the model has no chat template: use a model that has one "
        "(an instruct model), or a dataset of prompts and completions, or of texts");
  }

  // `whole` up to the end of `messages`, which must be how it begins.
  Result<size_t> LengthOfStart(const std::string& whole, const Json& messages,
                               bool add_generation_prompt, size_t turn) const {
    ATTUNE_ASSIGN_OR_RETURN(std::string start, Render(messages, add_generation_prompt));
    if (!whole.starts_with(start)) {
      return InvalidArgument(
          "message " + std::to_string(turn) +
          ": the chat template renders the conversation up to here differently when more of it "
          "follows, so the assistant's turn cannot be told apart; split the conversation so that "
          "it ends with this turn, or set loss_on: all");
    }
    return start.size();
  }

  Status EncodeSpans(const std::string& whole, const std::vector<Span>& spans,
                     TokenizedExample* example) const {
    ATTUNE_ASSIGN_OR_RETURN(text::Encoding encoding,
                            options_.assets.tokenizer->Encode(whole, /*add_special=*/false));
    example->targets.assign(encoding.ids.size(), 0);
    MarkSpans(encoding, spans, &example->targets);
    example->tokens = std::move(encoding.ids);
    return Status();
  }

  Status Messages(TokenizedExample* example) const {
    auto messages = row_.find("messages");
    if (messages == row_.end() || !messages->is_array()) {
      return InvalidArgument("\"messages\" is not an array");
    }
    ATTUNE_RETURN_IF_ERROR(NeedTemplate());
    ATTUNE_ASSIGN_OR_RETURN(std::string whole, Render(*messages, false));
    std::vector<Span> spans;
    Json start = Json::array();
    for (size_t turn = 0; turn < messages->size() && !options_.loss_on_all; ++turn) {
      const Json& message = (*messages)[turn];
      const std::string* role = message.is_object() ? TextOf(message, "role") : nullptr;
      bool assistant = role != nullptr && *role == "assistant";
      Span span{0, whole.size()};
      if (assistant) {
        ATTUNE_ASSIGN_OR_RETURN(span.begin, LengthOfStart(whole, start, true, turn));
      }
      start.push_back(message);
      if (!assistant) continue;
      if (turn + 1 < messages->size()) {
        ATTUNE_ASSIGN_OR_RETURN(span.end, LengthOfStart(whole, start, false, turn));
      }
      spans.push_back(span);
    }
    return EncodeSpans(whole, spans, example);
  }

  Status PromptCompletion(TokenizedExample* example) const {
    auto prompt = row_.find("prompt"), completion = row_.find("completion");
    if (prompt == row_.end() || completion == row_.end()) {
      return InvalidArgument("\"prompt\" or \"completion\" is missing");
    }
    if (prompt->is_array() && completion->is_array()) {
      ATTUNE_RETURN_IF_ERROR(NeedTemplate());
      Json messages = *prompt;
      messages.insert(messages.end(), completion->begin(), completion->end());
      ATTUNE_ASSIGN_OR_RETURN(std::string whole, Render(messages, false));
      ATTUNE_ASSIGN_OR_RETURN(size_t begin, LengthOfStart(whole, *prompt, true, prompt->size()));
      return EncodeSpans(whole, {{begin, whole.size()}}, example);
    }
    if (!prompt->is_string() || !completion->is_string()) {
      return InvalidArgument(
          "\"prompt\" and \"completion\" are neither texts nor lists of messages");
    }
    return PlainPromptCompletion(prompt->get<std::string>(), completion->get<std::string>(),
                                 example);
  }

  Status PlainPromptCompletion(const std::string& prompt, const std::string& completion,
                               TokenizedExample* example) const {
    const std::string whole = prompt + WithEnd(completion, options_.assets.eos_token);
    ATTUNE_ASSIGN_OR_RETURN(auto encoded,
                            options_.assets.tokenizer->EncodeBatch({prompt, whole}, true, 1));
    example->tokens = std::move(encoded[1]);
    auto differ = std::ranges::mismatch(encoded[0], example->tokens).in2;
    auto start = static_cast<size_t>(differ - example->tokens.begin());
    example->targets.assign(example->tokens.size(), 1);
    std::fill_n(example->targets.begin(), start, uint8_t{0});
    return Status();
  }

  Status Text(TokenizedExample* example) const {
    const std::string* text = TextOf(row_, "text");
    if (text == nullptr) return InvalidArgument("\"text\" is missing or not a text");
    const std::string whole = WithEnd(*text, options_.assets.eos_token);
    ATTUNE_ASSIGN_OR_RETURN(auto encoded, options_.assets.tokenizer->EncodeBatch({whole}, true, 1));
    example->tokens = std::move(encoded[0]);
    example->targets.assign(example->tokens.size(), 1);
    return Status();
  }

  const Json& row_;
  const TokenizeOptions& options_;
};

Status CheckIds(const TokenizedExample& example, const TokenizeOptions& options) {
  for (uint32_t id : example.tokens) {
    if (id < options.vocabulary_size) continue;
    auto token = options.assets.tokenizer->Decode({id}, false);
    return InvalidArgument("token \"" + (token.ok() ? *token : std::string()) + "\" has id " +
                           std::to_string(id) + ", but the model's vocabulary has " +
                           std::to_string(options.vocabulary_size) +
                           " entries: the tokenizer does not belong to the model");
  }
  return Status();
}

bool ReadId(const std::string& text, std::array<uint8_t, 16>* id) {
  if (text.size() != 2 * id->size()) return false;
  auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
  };
  for (size_t i = 0; i < id->size(); ++i) {
    int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    (*id)[i] = static_cast<uint8_t>(16 * high + low);
  }
  return true;
}

}  // namespace

Result<TokenizedExample> TokenizeExample(std::string_view line, const TokenizeOptions& options) {
  Json row = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return DataLoss("an example is not a JSON object");
  const std::string* id = TextOf(row, "id");
  TokenizedExample example;
  if (id == nullptr || !ReadId(*id, &example.id)) {
    return DataLoss("an example has no \"id\" of 32 hexadecimal digits");
  }
  Status status = Tokenization(row, options).Run(&example);
  if (status.ok()) status = CheckIds(example, options);
  if (!status.ok()) return status.WithContext("example " + *id);

  if (options.loss_on_all) std::ranges::fill(example.targets, uint8_t{1});
  if (example.tokens.size() > options.sequence_length) {
    example.truncated = true;
    example.tokens.resize(options.sequence_length);
    example.targets.resize(options.sequence_length);
  }
  if (!example.targets.empty()) example.targets[0] = 0;
  example.has_target = std::ranges::find(example.targets, 1) != example.targets.end();
  return example;
}

}  // namespace attune::engine
