#include "worker/engine/tasks/probe.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/row_parts.h"
#include "worker/engine/data/sample_rows.h"
#include "worker/engine/tasks/plain_sentences.h"

namespace attune::engine {
namespace {

using Json = nlohmann::ordered_json;

bool ReadsTexts(ObjectiveKind kind) {
  return kind != ObjectiveKind::kCausalLm && kind != ObjectiveKind::kSeq2seq;
}

// A row as a shard has it; nobody asks for its id.
std::string RowOf(Json row) {
  row["id"] = std::string(32, '0');
  return row.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string TextRow(const std::string& text) {
  return RowOf({{"kind", "text"}, {"text", text}});
}

// For an encoder-decoder: the second half answers the first.
std::string HalvedRow(const std::string& text) {
  const size_t middle = text.find(' ', text.size() / 2);
  return RowOf({{"kind", "prompt_completion"},
                {"prompt", text.substr(0, middle)},
                {"completion", text.substr(middle + 1)}});
}

// As an encoder reads a text: framed by the tokenizer, whose last token stays where it is cut.
Result<TokenizedExample> EncodeText(const std::string& line, const TokenizeOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadingText(line));
  ATTUNE_ASSIGN_OR_RETURN(auto encoded, options.assets.tokenizer->EncodeBatch({text}, true, 1));
  TokenizedExample example{.tokens = std::move(encoded[0])};
  if (example.tokens.size() > options.sequence_length) {
    example.tokens[options.sequence_length - 1] = example.tokens.back();
    example.tokens.resize(options.sequence_length);
  }
  example.targets.assign(example.tokens.size(), 0);
  return example;
}

// Without tokens where the model cannot read the row.
Result<TokenizedExample> Read(const std::string& line, const TokenizeOptions& options) {
  const ObjectiveKind kind = KindOf(options.objective);
  if (ReadsTexts(kind)) return EncodeText(line, options);
  ATTUNE_ASSIGN_OR_RETURN(TokenizedExample example, TokenizeExample(line, options));
  const bool usable = example.unusable.empty() && example.has_target;
  if (usable) return example;
  // What a decoder has not learned from, such as preferences, it reads all the same.
  if (kind != ObjectiveKind::kCausalLm) return TokenizedExample();
  ATTUNE_ASSIGN_OR_RETURN(const std::string text, ReadingText(line));
  ATTUNE_ASSIGN_OR_RETURN(example, TokenizeExample(TextRow(text), options));
  return example.has_target ? std::move(example) : TokenizedExample();
}

// Takes the row into the probe unless that is full.
Status Take(const std::string& line, const TokenizeOptions& options, Probe* probe) {
  ATTUNE_ASSIGN_OR_RETURN(TokenizedExample example, Read(line, options));
  const auto tokens = static_cast<int64_t>(example.tokens.size());
  const bool fits = probe->examples.empty() || probe->tokens + tokens <= kProbeTokensMax;
  if (tokens == 0 || !fits) return Status();
  probe->tokens += tokens;
  probe->examples.push_back(std::move(example));
  return Status();
}

Status TakeDataset(const DatasetFiles& dataset, size_t examples_max, const TokenizeOptions& options,
                   Probe* probe) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<SampledRow> rows,
                          SampleRows(dataset, {"validation"}, kProbeExamplesMax));
  const size_t before = probe->examples.size();
  for (const SampledRow& row : rows) {
    if (probe->examples.size() - before == examples_max) break;
    ATTUNE_RETURN_IF_ERROR(Take(row.line, options, probe));
  }
  if (probe->examples.size() == before) return Status();
  probe->source += (probe->source.empty() ? "validation of " : ", ") + dataset.reference;
  return Status();
}

}  // namespace

Result<Probe> MakeProbe(const std::vector<DatasetFiles>& datasets, const TokenizeOptions& options,
                        Observer& observer) {
  Probe probe;
  const size_t each = std::max<size_t>(1, kProbeExamplesMax / std::max<size_t>(1, datasets.size()));
  for (const DatasetFiles& dataset : datasets) {
    Probe more = probe;
    const Status taken = TakeDataset(dataset, each, options, &more);
    if (taken.ok()) {
      probe = std::move(more);
    } else {
      observer.OnWarning("the merged model is not compared on " + dataset.reference + ": " +
                         taken.message());
    }
    if (probe.examples.size() >= kProbeExamplesMax) break;
  }
  if (!probe.examples.empty()) return probe;
  probe.source = "built-in sentences";
  const bool halves = KindOf(options.objective) == ObjectiveKind::kSeq2seq;
  for (const char* sentence : kPlainSentences) {
    ATTUNE_RETURN_IF_ERROR(Take(halves ? HalvedRow(sentence) : TextRow(sentence), options, &probe));
  }
  if (probe.examples.empty()) return InvalidArgument("the model reads none of the sentences");
  return probe;
}

}  // namespace attune::engine
