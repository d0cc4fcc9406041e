#include "worker/engine/data/example_tokens.h"

#include <algorithm>

#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/objective_tokens.h"
#include "worker/engine/data/row_encoder.h"
#include "worker/engine/data/token_shard.h"

namespace attune::engine {
namespace {

constexpr const char* kNotOfPreferences =
    "preference pairs: only task: preference learns from them";

// Marks the tokens that share a byte with a span. A token whose place is empty (a tokenizer may
// trim white space from the places it reports) counts as the byte before it.
void MarkSpans(const text::Encoding& encoding, const std::vector<Span>& spans,
               std::vector<uint8_t>* targets) {
  for (size_t i = 0; i < encoding.offsets.size(); ++i) {
    size_t begin = encoding.offsets[i].first, end = encoding.offsets[i].second;
    if (begin == end && begin > 0) --begin;
    for (const Span& span : spans) {
      if (std::max(begin, span.begin) < std::min(end, span.end)) (*targets)[i] = kTarget;
    }
  }
}

Status Messages(const RowEncoder& encoder, TokenizedExample* example) {
  const TokenizeOptions& options = encoder.options();
  auto messages = encoder.row().find("messages");
  if (messages == encoder.row().end()) return InvalidArgument("\"messages\" is missing");
  ATTUNE_RETURN_IF_ERROR(encoder.NeedTemplate());
  auto chat = encoder.Renderer().Chat(*messages, /*find_said=*/!options.loss_on_all);
  if (!chat.ok()) return encoder.Unusable(chat.status(), example);
  ATTUNE_ASSIGN_OR_RETURN(text::Encoding encoding,
                          encoder.tokenizer().Encode(chat->text, /*add_special=*/false));
  example->targets.assign(encoding.ids.size(), 0);
  MarkSpans(encoding, chat->said, &example->targets);
  example->tokens = std::move(encoding.ids);
  return Status();
}

Status PromptCompletion(const RowEncoder& encoder, TokenizedExample* example) {
  const ExampleJson& row = encoder.row();
  auto prompt = row.find("prompt"), completion = row.find("completion");
  if (prompt == row.end() || completion == row.end()) {
    return InvalidArgument("\"prompt\" or \"completion\" is missing");
  }
  return encoder.LearnAnswer(*prompt, *completion, example);
}

Status Text(const RowEncoder& encoder, TokenizedExample* example) {
  const std::string* text = encoder.TextOf("text");
  if (text == nullptr) return InvalidArgument("\"text\" is missing or not a text");
  ATTUNE_RETURN_IF_ERROR(encoder.NeedEnd());
  const std::string whole = encoder.WithEnd(*text);
  ATTUNE_ASSIGN_OR_RETURN(auto encoded, encoder.tokenizer().EncodeBatch({whole}, true, 1));
  example->tokens = std::move(encoded[0]);
  example->targets.assign(example->tokens.size(), kTarget);
  return Status();
}

Status NextTokens(const RowEncoder& encoder, TokenizedExample* example) {
  const std::string kind = encoder.kind();
  Status status;
  if (kind == "messages") {
    status = Messages(encoder, example);
  } else if (kind == "prompt_completion") {
    status = PromptCompletion(encoder, example);
  } else if (kind == "text") {
    status = Text(encoder, example);
  } else if (kind == "preference") {
    status = encoder.Unusable(InvalidArgument(kNotOfPreferences), example);
  } else {
    status = InvalidArgument("the kind \"" + kind + "\" is not known");
  }
  ATTUNE_RETURN_IF_ERROR(status);
  if (encoder.options().loss_on_all) std::ranges::fill(example->targets, kTarget);
  CutText(encoder.options().sequence_length, example);
  return Status();
}

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
  const ExampleJson row = ExampleJson::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!row.is_object()) return DataLoss("an example is not a JSON object");
  const RowEncoder encoder(row, options);
  const std::string* id = encoder.TextOf("id");
  TokenizedExample example;
  if (id == nullptr || !ReadId(*id, &example.id)) {
    return DataLoss("an example has no \"id\" of 32 hexadecimal digits");
  }
  Status status = KindOf(options.objective) == ObjectiveKind::kCausalLm
                      ? NextTokens(encoder, &example)
                      : ObjectiveTokens(encoder, &example);
  if (status.ok()) status = CheckIds(example, options);
  if (!status.ok()) return status.WithContext("example " + *id);
  example.has_target = std::ranges::any_of(example.targets, IsTarget);
  return example;
}

}  // namespace attune::engine
