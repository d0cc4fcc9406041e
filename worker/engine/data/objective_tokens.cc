#include "worker/engine/data/objective_tokens.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <span>
#include <utility>

#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/token_shard.h"
#include "worker/engine/data/trimmed.h"

namespace attune::engine {
namespace {

struct FramedText {
  std::vector<uint32_t> tokens;
  size_t before = 0, after = 0;  // special tokens that the tokenizer puts around it
  bool truncated = false;
};

// A text with what the tokenizer puts around it, cut between the two as transformers does.
Result<FramedText> Frame(const RowEncoder& encoder, std::string_view text) {
  ATTUNE_ASSIGN_OR_RETURN(auto bare, encoder.tokenizer().EncodeBatch({text}, false, 1));
  ATTUNE_ASSIGN_OR_RETURN(auto whole, encoder.tokenizer().EncodeBatch({text}, true, 1));
  FramedText framed{.tokens = std::move(whole[0])};
  const std::vector<uint32_t>& inner = bare[0];
  const size_t added = framed.tokens.size() - std::min(inner.size(), framed.tokens.size());
  while (
      framed.before < added &&
      !std::ranges::equal(inner, std::span(framed.tokens).subspan(framed.before, inner.size()))) {
    ++framed.before;
  }
  framed.after = added - framed.before;
  const size_t most = encoder.options().sequence_length;
  if (framed.tokens.size() > most && most > added) {
    framed.truncated = true;
    const auto cut = framed.tokens.begin() + static_cast<ptrdiff_t>(most - framed.after);
    framed.tokens.erase(cut, framed.tokens.end() - static_cast<ptrdiff_t>(framed.after));
  }
  return framed;
}

// Another text of the example; `first` marks its first token.
void Append(const std::vector<uint32_t>& tokens, uint8_t first, uint8_t rest,
            TokenizedExample* example) {
  example->tokens.insert(example->tokens.end(), tokens.begin(), tokens.end());
  example->targets.insert(example->targets.end(), tokens.size(), rest);
  if (!tokens.empty()) example->targets[example->targets.size() - tokens.size()] = first;
}

Status AppendText(const RowEncoder& encoder, const std::string& text, uint8_t first, uint8_t rest,
                  TokenizedExample* example) {
  ATTUNE_ASSIGN_OR_RETURN(const FramedText framed, Frame(encoder, text));
  if (framed.tokens.empty()) {
    return encoder.Unusable(InvalidArgument("one of its texts is empty"), example);
  }
  Append(framed.tokens, first, rest, example);
  example->truncated = example->truncated || framed.truncated;
  return Status();
}

Status Masked(const RowEncoder& encoder, TokenizedExample* example) {
  const std::string* text = encoder.TextOf("text");
  if (text == nullptr) {
    return encoder.Unusable(InvalidArgument("task: masked-lm learns from texts"), example);
  }
  ATTUNE_ASSIGN_OR_RETURN(const FramedText framed, Frame(encoder, *text));
  Append(framed.tokens, kTarget, kTarget, example);
  example->truncated = framed.truncated;
  // What frames the text is not masked, nor is ever the first token.
  std::fill_n(example->targets.begin(),
              std::min(std::max<size_t>(framed.before, 1), example->targets.size()), uint8_t{0});
  std::fill_n(example->targets.rbegin(), std::min(framed.after, example->targets.size()),
              uint8_t{0});
  return Status();
}

// The label beside a text, or the completion of a prompt.
const std::string* LabelOf(const RowEncoder& encoder) {
  if (encoder.kind() == "prompt_completion") return encoder.TextOf("completion");
  auto metadata = encoder.row().find("metadata");
  if (metadata == encoder.row().end() || !metadata->is_object()) return nullptr;
  auto label = metadata->find("label");
  return label == metadata->end() ? nullptr : label->get_ptr<const std::string*>();
}

// The first few.
std::string Listed(const std::vector<std::string>& labels) {
  constexpr size_t kNamed = 8;
  std::string text = ": ";
  for (size_t i = 0; i < std::min(labels.size(), kNamed); ++i) {
    text += (i == 0 ? "" : ", ") + labels[i];
  }
  return text + (labels.size() > kNamed ? ", ..." : "");
}

std::optional<size_t> WholeNumber(const std::string& text) {
  size_t number = 0;
  const char* end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  return read.ec == std::errc() && read.ptr == end ? std::optional(number) : std::nullopt;
}

// Which of the labels it is: its name, or else its index, as many data sets have it. Where labels
// are numbers themselves, a number that is none of them means nothing.
std::optional<size_t> FindLabel(const std::vector<std::string>& labels, const std::string& text) {
  const auto named = std::ranges::find(labels, text);
  if (named != labels.end()) return static_cast<size_t>(named - labels.begin());
  const std::optional<size_t> index = WholeNumber(text);
  if (!index || *index >= labels.size()) return std::nullopt;
  const bool numbers = std::ranges::any_of(
      labels, [](const std::string& label) { return WholeNumber(label).has_value(); });
  return numbers ? std::nullopt : index;
}

Status Labelled(const RowEncoder& encoder, TokenizedExample* example) {
  const std::vector<std::string>& labels = encoder.options().objective.labels;
  const bool pair = encoder.kind() == "prompt_completion";
  const std::string* text = encoder.TextOf(pair ? "prompt" : "text");
  const std::string* label = LabelOf(encoder);
  if (text == nullptr || label == nullptr) {
    return encoder.Unusable(
        InvalidArgument("task: classification learns from a text and a label beside it, or a "
                        "prompt and a completion, as texts"),
        example);
  }
  const std::string asked(Trimmed(*label));
  const std::optional<size_t> known = FindLabel(labels, asked);
  if (!known) {
    return encoder.Unusable(
        InvalidArgument("its label \"" + asked +
                        "\" is not one of task.labels, nor the index of one" + Listed(labels)),
        example);
  }
  ATTUNE_RETURN_IF_ERROR(AppendText(encoder, *text, 0, 0, example));
  if (!example->unusable.empty()) return Status();
  Append({static_cast<uint32_t>(*known)}, kTarget | kTextBegins, 0, example);
  return Status();
}

Status SourceAndAnswer(const RowEncoder& encoder, TokenizedExample* example) {
  const std::string* source = encoder.TextOf("prompt");
  const std::string* answer = encoder.TextOf("completion");
  if (source == nullptr || answer == nullptr) {
    return encoder.Unusable(
        InvalidArgument("task: seq2seq learns from a prompt and a completion, as texts"), example);
  }
  ATTUNE_RETURN_IF_ERROR(AppendText(encoder, *source, 0, 0, example));
  if (!example->unusable.empty()) return Status();
  return AppendText(encoder, *answer, kTarget | kTextBegins, kTarget, example);
}

// Texts that belong together, and one that does not, where there is one. The second counts as what
// is to be learned.
Status Related(const RowEncoder& encoder, TokenizedExample* example) {
  const bool three = encoder.kind() == "preference";
  std::vector<const std::string*> texts = {encoder.TextOf("prompt"),
                                           encoder.TextOf(three ? "chosen" : "completion")};
  if (three) texts.push_back(encoder.TextOf("rejected"));
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i] == nullptr) {
      return encoder.Unusable(
          InvalidArgument("task: embedding learns from a prompt and a completion that belong "
                          "together, or a prompt, chosen and rejected, as texts"),
          example);
    }
    const uint8_t first = i == 0 ? 0 : i == 1 ? kTarget | kTextBegins : kTextBegins;
    ATTUNE_RETURN_IF_ERROR(AppendText(encoder, *texts[i], first, 0, example));
    if (!example->unusable.empty()) return Status();
  }
  return Status();
}

struct Answers {
  ExampleJson prompt, chosen, rejected;
};

// A row without a prompt has it in both answers: what they begin with alike, as trl finds it.
Answers WithoutCommonStart(const ExampleJson& chosen, const ExampleJson& rejected) {
  if (chosen.is_array() && rejected.is_array()) {
    size_t same = 0;
    const size_t most = std::min(chosen.size(), rejected.size());
    while (same < most && chosen[same] == rejected[same]) ++same;
    const auto part = [](const ExampleJson& list, size_t begin, size_t end) {
      return ExampleJson(ExampleJson::array_t(list.begin() + static_cast<ptrdiff_t>(begin),
                                              list.begin() + static_cast<ptrdiff_t>(end)));
    };
    return {part(chosen, 0, same), part(chosen, same, chosen.size()),
            part(rejected, same, rejected.size())};
  }
  if (!chosen.is_string() || !rejected.is_string()) return {"", chosen, rejected};
  const auto &a = chosen.get_ref<const std::string&>(), &b = rejected.get_ref<const std::string&>();
  auto same = static_cast<size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
  // Not within a character; a space that both share belongs to the answers.
  while (same > 0 && same < a.size() && (static_cast<unsigned char>(a[same]) & 0xC0) == 0x80)
    --same;
  if (same > 0 && a[same - 1] == ' ') --same;
  return {a.substr(0, same), a.substr(same), b.substr(same)};
}

std::optional<Answers> AnswersOf(const ExampleJson& row) {
  auto chosen = row.find("chosen"), rejected = row.find("rejected"), prompt = row.find("prompt");
  if (chosen == row.end() || rejected == row.end()) return std::nullopt;
  if (prompt == row.end()) return WithoutCommonStart(*chosen, *rejected);
  if (prompt->is_string() && chosen->is_array()) {
    return Answers{ExampleJson::array({{{"role", "user"}, {"content", *prompt}}}), *chosen,
                   *rejected};
  }
  return Answers{*prompt, *chosen, *rejected};
}

// The chosen answer after the prompt, then the rejected one after the same.
Status ChosenAndRejected(const RowEncoder& encoder, TokenizedExample* example) {
  const std::optional<Answers> answers = AnswersOf(encoder.row());
  if (!answers) {
    return encoder.Unusable(
        InvalidArgument("task: preference learns from a prompt, chosen and rejected"), example);
  }
  for (const ExampleJson& answer : {answers->chosen, answers->rejected}) {
    TokenizedExample one;
    ATTUNE_RETURN_IF_ERROR(encoder.LearnAnswer(answers->prompt, answer, &one));
    CutText(encoder.options().sequence_length, &one);
    if (one.unusable.empty() && std::ranges::none_of(one.targets, IsTarget)) {
      one.unusable = "no token of an answer is left within train.sequence_length";
      ATTUNE_RETURN_IF_ERROR(encoder.Unusable(InvalidArgument(one.unusable), &one));
    }
    if (!one.unusable.empty()) {
      *example = TokenizedExample{.id = example->id, .unusable = std::move(one.unusable)};
      return Status();
    }
    if (!example->tokens.empty()) one.targets[0] = kTextBegins;
    example->tokens.insert(example->tokens.end(), one.tokens.begin(), one.tokens.end());
    example->targets.insert(example->targets.end(), one.targets.begin(), one.targets.end());
    example->truncated = example->truncated || one.truncated;
  }
  return Status();
}

}  // namespace

void CutText(size_t sequence_length, TokenizedExample* example) {
  if (example->tokens.size() > sequence_length) {
    example->truncated = true;
    example->tokens.resize(sequence_length);
    example->targets.resize(sequence_length);
  }
  if (!example->targets.empty()) example->targets[0] = 0;
}

Status ObjectiveTokens(const RowEncoder& encoder, TokenizedExample* example) {
  switch (KindOf(encoder.options().objective)) {
    case ObjectiveKind::kMaskedLm:
      return Masked(encoder, example);
    case ObjectiveKind::kClassification:
      return Labelled(encoder, example);
    case ObjectiveKind::kSeq2seq:
      return SourceAndAnswer(encoder, example);
    case ObjectiveKind::kEmbedding:
      return Related(encoder, example);
    case ObjectiveKind::kPreference:
      return ChosenAndRejected(encoder, example);
    case ObjectiveKind::kCausalLm:
      break;
  }
  return Internal("the next token's tokens are made elsewhere");
}

}  // namespace attune::engine
