#include "worker/engine/data/example_tokens.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/base/utf8.h"
#include "worker/engine/data/chat_spans.h"

namespace attune::engine {
namespace {

using Json = ExampleJson;

constexpr size_t kFirstWordsBytes = 60, kReasonBytes = 300;
constexpr const char* kNotOfPreferences =
    "preference pairs: a supervised job does not learn from them";

const std::string* TextOf(const Json& row, const char* key) {
  auto found = row.find(key);
  return found == row.end() ? nullptr : found->get_ptr<const std::string*>();
}

// With what ends a sequence, unless the text ends so already.
std::string WithEnd(std::string text, const std::string& eos) {
  if (!text.ends_with(eos)) text += eos;
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

// What the first message says that is not the system's, which many examples share.
std::string FirstSaid(const Json& messages) {
  for (const Json& message : messages) {
    if (!message.is_object()) continue;
    const std::string* role = TextOf(message, "role");
    const std::string* content = TextOf(message, "content");
    if (content != nullptr && !content->empty() && (role == nullptr || *role != "system")) {
      return *content;
    }
  }
  return "";
}

// At most so many bytes, on one line.
std::string Shortened(std::string text, size_t bytes) {
  text = Shorten(text, bytes);
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

std::string FirstWords(const Json& row) {
  for (const char* key : {"messages", "prompt", "text", "chosen"}) {
    auto found = row.find(key);
    if (found == row.end()) continue;
    return Shortened(found->is_string() ? found->get<std::string>() : FirstSaid(*found),
                     kFirstWordsBytes);
  }
  return "";
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
    if (*kind == "preference") return Unusable(InvalidArgument(kNotOfPreferences), example);
    return InvalidArgument("the kind \"" + *kind + "\" is not known");
  }

 private:
  Status NeedTemplate() const {
    if (options_.assets.chat_template != nullptr) return Status();
    return InvalidArgument(
        "the dataset has messages, but the model has no chat template: use a model that has one "
        "(an instruct model), or a dataset of prompts and completions, or of texts");
  }

  Status NeedEnd() const {
    if (!options_.assets.eos_token.empty()) return Status();
    return InvalidArgument(
        "the model names no end-of-sequence token, so that nothing would teach it to stop: add "
        "\"eos_token\" to its tokenizer_config.json, or \"eos_token_id\" to its config.json, and "
        "import it again");
  }

  ChatRenderer Renderer() const {
    auto tools = row_.find("tools");
    return {*options_.assets.chat_template,
            tools != row_.end() && tools->is_array() ? &*tools : nullptr};
  }

  // What is wrong with this example alone, or too much for the template's limits.
  Status Unusable(const Status& status, TokenizedExample* example) const {
    if (status.code() != StatusCode::kInvalidArgument) return status;
    example->unusable = "example " + *TextOf(row_, "id") + " (\"" + FirstWords(row_) +
                        "\"): " + Shortened(status.message(), kReasonBytes);
    return Status();
  }

  Status Messages(TokenizedExample* example) const {
    auto messages = row_.find("messages");
    if (messages == row_.end()) return InvalidArgument("\"messages\" is missing");
    ATTUNE_RETURN_IF_ERROR(NeedTemplate());
    auto chat = Renderer().Chat(*messages, /*find_said=*/!options_.loss_on_all);
    if (!chat.ok()) return Unusable(chat.status(), example);
    ATTUNE_ASSIGN_OR_RETURN(text::Encoding encoding,
                            options_.assets.tokenizer->Encode(chat->text, /*add_special=*/false));
    example->targets.assign(encoding.ids.size(), 0);
    MarkSpans(encoding, chat->said, &example->targets);
    example->tokens = std::move(encoding.ids);
    return Status();
  }

  Status PromptCompletion(TokenizedExample* example) const {
    auto prompt = row_.find("prompt"), completion = row_.find("completion");
    if (prompt == row_.end() || completion == row_.end()) {
      return InvalidArgument("\"prompt\" or \"completion\" is missing");
    }
    if (prompt->is_array() && completion->is_array()) {
      ATTUNE_RETURN_IF_ERROR(NeedTemplate());
      auto pair = Renderer().Pair(*prompt, *completion);
      if (!pair.ok()) return Unusable(pair.status(), example);
      return LearnAfter(pair->prompt, pair->whole, /*add_special=*/false, example);
    }
    if (!prompt->is_string() || !completion->is_string()) {
      return InvalidArgument(
          "\"prompt\" and \"completion\" are neither texts nor lists of messages");
    }
    ATTUNE_RETURN_IF_ERROR(NeedEnd());
    const auto& start = prompt->get_ref<const std::string&>();
    return LearnAfter(start,
                      start + WithEnd(completion->get<std::string>(), options_.assets.eos_token),
                      /*add_special=*/true, example);
  }

  // Targets are the tokens of `whole` from where those of `prompt` differ.
  Status LearnAfter(const std::string& prompt, const std::string& whole, bool add_special,
                    TokenizedExample* example) const {
    const text::Tokenizer& tokenizer = *options_.assets.tokenizer;
    size_t start = 0;
    if (whole.starts_with(prompt)) {
      ATTUNE_ASSIGN_OR_RETURN(auto encoded,
                              tokenizer.EncodeAfter(whole, prompt.size(), add_special));
      example->tokens = std::move(encoded.ids);
      start = encoded.same;
    } else {  // a template that prints the prompt otherwise when the completion follows
      ATTUNE_ASSIGN_OR_RETURN(auto encoded, tokenizer.EncodeBatch({prompt, whole}, add_special, 1));
      example->tokens = std::move(encoded[1]);
      auto differ = std::ranges::mismatch(encoded[0], example->tokens).in2;
      start = static_cast<size_t>(differ - example->tokens.begin());
    }
    example->targets.assign(example->tokens.size(), 1);
    std::fill_n(example->targets.begin(), start, uint8_t{0});
    return Status();
  }

  Status Text(TokenizedExample* example) const {
    const std::string* text = TextOf(row_, "text");
    if (text == nullptr) return InvalidArgument("\"text\" is missing or not a text");
    ATTUNE_RETURN_IF_ERROR(NeedEnd());
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
