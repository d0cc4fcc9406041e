#include "worker/engine/data/row_encoder.h"

#include <algorithm>

#include "common/base/utf8.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {
namespace {

constexpr size_t kFirstWordsBytes = 60, kReasonBytes = 300;

const std::string* TextAt(const ExampleJson& row, const char* key) {
  auto found = row.find(key);
  return found == row.end() ? nullptr : found->get_ptr<const std::string*>();
}

// What the first message says that is not the system's, which many examples share.
std::string FirstSaid(const ExampleJson& messages) {
  for (const ExampleJson& message : messages) {
    if (!message.is_object()) continue;
    const std::string* role = TextAt(message, "role");
    const std::string* content = TextAt(message, "content");
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

std::string FirstWords(const ExampleJson& row) {
  for (const char* key : {"messages", "prompt", "text", "chosen"}) {
    auto found = row.find(key);
    if (found == row.end()) continue;
    return Shortened(found->is_string() ? found->get<std::string>() : FirstSaid(*found),
                     kFirstWordsBytes);
  }
  return "";
}

}  // namespace

const std::string* RowEncoder::TextOf(const char* key) const {
  return TextAt(row_, key);
}

std::string RowEncoder::kind() const {
  const std::string* kind = TextOf("kind");
  return kind == nullptr ? "" : *kind;
}

std::string RowEncoder::WithEnd(std::string text) const {
  const std::string& end = options_.assets.eos_token;
  if (!text.ends_with(end)) text += end;
  return text;
}

Status RowEncoder::NeedTemplate() const {
  if (options_.assets.chat_template != nullptr) return Status();
  return InvalidArgument(
      "the dataset has messages, but the model has no chat template: use a model that has one "
      "(an instruct model), or a dataset of prompts and completions, or of texts");
}

Status RowEncoder::NeedEnd() const {
  if (!options_.assets.eos_token.empty()) return Status();
  return InvalidArgument(
      "the model names no end-of-sequence token, so that nothing would teach it to stop: add "
      "\"eos_token\" to its tokenizer_config.json, or \"eos_token_id\" to its config.json, and "
      "import it again");
}

ChatRenderer RowEncoder::Renderer() const {
  auto tools = row_.find("tools");
  return {*options_.assets.chat_template,
          tools != row_.end() && tools->is_array() ? &*tools : nullptr};
}

Status RowEncoder::Unusable(const Status& status, TokenizedExample* example) const {
  if (status.code() != StatusCode::kInvalidArgument) return status;
  example->tokens.clear();
  example->targets.clear();
  example->unusable = "example " + *TextOf("id") + " (\"" + FirstWords(row_) +
                      "\"): " + Shortened(status.message(), kReasonBytes);
  return Status();
}

Result<TokenizedExample> RowEncoder::LearnAfter(const std::string& prompt, const std::string& whole,
                                                bool add_special) const {
  TokenizedExample example;
  size_t start = 0;
  if (whole.starts_with(prompt)) {
    ATTUNE_ASSIGN_OR_RETURN(auto encoded,
                            tokenizer().EncodeAfter(whole, prompt.size(), add_special));
    example.tokens = std::move(encoded.ids);
    start = encoded.same;
  } else {  // a template that prints the prompt otherwise when the completion follows
    ATTUNE_ASSIGN_OR_RETURN(auto encoded, tokenizer().EncodeBatch({prompt, whole}, add_special, 1));
    example.tokens = std::move(encoded[1]);
    auto differ = std::ranges::mismatch(encoded[0], example.tokens).in2;
    start = static_cast<size_t>(differ - example.tokens.begin());
  }
  example.targets.assign(example.tokens.size(), kTarget);
  std::fill_n(example.targets.begin(), start, uint8_t{0});
  return example;
}

Status RowEncoder::LearnAnswer(const ExampleJson& prompt, const ExampleJson& answer,
                               TokenizedExample* example) const {
  TokenizedExample learned;
  if (prompt.is_array() && answer.is_array()) {
    ATTUNE_RETURN_IF_ERROR(NeedTemplate());
    auto pair = Renderer().Pair(prompt, answer);
    if (!pair.ok()) return Unusable(pair.status(), example);
    ATTUNE_ASSIGN_OR_RETURN(learned, LearnAfter(pair->prompt, pair->whole, /*add_special=*/false));
  } else if (prompt.is_string() && answer.is_string()) {
    ATTUNE_RETURN_IF_ERROR(NeedEnd());
    const auto& start = prompt.get_ref<const std::string&>();
    ATTUNE_ASSIGN_OR_RETURN(learned, LearnAfter(start, start + WithEnd(answer.get<std::string>()),
                                                /*add_special=*/true));
  } else {
    return InvalidArgument("a prompt and its answer are neither texts nor lists of messages");
  }
  example->tokens = std::move(learned.tokens);
  example->targets = std::move(learned.targets);
  return Status();
}

}  // namespace attune::engine
