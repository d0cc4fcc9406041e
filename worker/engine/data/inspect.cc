#include "worker/engine/data/inspect.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "common/base/hex.h"
#include "common/base/utf8.h"
#include "worker/engine/data/objective_kind.h"
#include "worker/engine/data/row_parts.h"

namespace attune::engine {
namespace {

constexpr size_t kEndsLookedAt = 1'000'000;
// An example costs the pages around it, 64 KiB or more.
constexpr int64_t kEndsBetweenReleases = 512;
// A template may print something behind the end token that is learned, too: "<|im_end|>\n".
constexpr size_t kAfterEndMax = 4;
constexpr size_t kIdsNamed = 5;
constexpr size_t kRowsCompared = 64;  // of each data set
constexpr size_t kSamples = 3;
constexpr int kBins = 16;
constexpr size_t kQuotedBytes = 60;

using Id = std::array<uint8_t, 16>;

Id IdOf(const TokenExample& example) {
  Id id{};
  std::memcpy(id.data(), example.id.data(), std::min(id.size(), example.id.size()));
  return id;
}

// Whether what is learned last holds a token that ends a generation.
bool TeachesEnd(const TokenExample& example, const std::vector<uint32_t>& end_ids) {
  size_t i = example.targets.size();
  while (i > 0 && !IsTarget(example.targets[i - 1])) --i;
  for (size_t seen = 0; i > 0 && IsTarget(example.targets[i - 1]) && seen <= kAfterEndMax;
       --i, ++seen) {
    if (std::ranges::find(end_ids, example.tokens[i - 1]) != end_ids.end()) return true;
  }
  return false;
}

void FindLeaks(const PreparedData& data, DataCheck* check) {
  std::vector<Id> held_out;
  held_out.reserve(data.validation->size());
  for (size_t i = 0; i < data.validation->size(); ++i) {
    held_out.push_back(IdOf(data.validation->Example(i)));
  }
  std::ranges::sort(held_out);
  std::vector<bool> is_leaked(held_out.size(), false);
  for (size_t i = 0; i < data.train->size(); ++i) {
    const Id id = IdOf(data.train->Example(i));
    const auto found = std::ranges::lower_bound(held_out, id);
    if (found == held_out.end() || *found != id) continue;
    const auto place = static_cast<size_t>(found - held_out.begin());
    if (is_leaked[place]) continue;
    is_leaked[place] = true;
    ++check->leaked;
    if (check->leaked_ids.size() < kIdsNamed) check->leaked_ids.push_back(ToHex(id));
  }
}

std::vector<LengthBin> Histogram(std::span<const uint32_t> lengths, int sequence_length) {
  const int width = std::max(1, (sequence_length + kBins - 1) / kBins);
  std::vector<LengthBin> bins;
  for (int from = 1; from <= sequence_length; from += width) {
    bins.push_back({from, std::min(from + width - 1, sequence_length), 0});
  }
  for (const uint32_t length : lengths)
    ++bins[(length - 1) / static_cast<uint32_t>(width)].examples;
  return bins;
}

void CountStepTokens(std::vector<int64_t> tokens, DataCheck* check) {
  const auto middle = tokens.begin() + static_cast<ptrdiff_t>(tokens.size() / 2);
  std::ranges::nth_element(tokens, middle);
  check->step_tokens_median = *middle;
  check->step_tokens_min = *std::ranges::min_element(tokens);
  check->step_tokens_max = *std::ranges::max_element(tokens);
}

// The first rows of the training split; of one shard, whatever the size of the data set.
Result<std::vector<std::string>> FirstRows(const DatasetVersionFiles& version) {
  std::vector<std::string> rows;
  const auto shard = std::ranges::find(version.shards, "train", &DatasetShard::split);
  if (shard == version.shards.end()) return rows;
  ATTUNE_ASSIGN_OR_RETURN(const ShardText text, ShardText::Open(*shard));
  std::string_view rest = text.bytes();
  while (rows.size() < kRowsCompared) {
    const std::string_view line = NextLine(&rest);
    if (line.empty()) break;
    rows.emplace_back(line);
  }
  return rows;
}

MaskedExample Masked(const TokenizedExample& example, const TokenizeOptions& options) {
  MaskedExample masked{ToHex(example.id), {}};
  for (size_t begin = 0, end = 0; begin < example.tokens.size(); begin = end) {
    while (end < example.tokens.size() && example.targets[end] == example.targets[begin]) ++end;
    const std::vector<uint32_t> ids(example.tokens.begin() + static_cast<ptrdiff_t>(begin),
                                    example.tokens.begin() + static_cast<ptrdiff_t>(end));
    auto text = options.assets.tokenizer->Decode(ids, /*skip_special=*/false);
    masked.pieces.push_back({text.ok() ? *std::move(text) : "", IsTarget(example.targets[begin])});
  }
  if (KindOf(options.objective) == ObjectiveKind::kClassification && !masked.pieces.empty()) {
    masked.pieces.back().text = options.objective.labels.at(example.tokens.back());
  }
  return masked;
}

std::string Quoted(const text::Tokenizer& tokenizer, std::span<const uint32_t> ids) {
  auto text = tokenizer.Decode({ids.begin(), ids.end()}, /*skip_special=*/false);
  std::string shown = Shorten(text.ok() ? *text : "", kQuotedBytes);
  std::string quoted = "\"";
  for (const char c : shown) quoted += c == '\n' ? "\\n" : std::string(1, c);
  return quoted + "\"";
}

// Looks at rows as they are trained on and as they are served.
class RowCheck {
 public:
  RowCheck(const TokenizeOptions& options, DataCheck* check) : options_(options), check_(check) {}

  Status Row(const std::string& line) {
    ATTUNE_ASSIGN_OR_RETURN(const TokenizedExample example, TokenizeExample(line, options_));
    if (!example.has_target) return Status();
    if (check_->samples.size() < kSamples) {
      check_->samples.push_back(Masked(example, options_));
    }
    if (options_.objective.type != "causal-lm") return Status();
    auto prompt = PromptOf(line, options_.assets);
    if (!prompt.ok()) return Status();  // a plain text asks nothing
    ATTUNE_ASSIGN_OR_RETURN(const text::Encoding served,
                            options_.assets.tokenizer->Encode(prompt->text, prompt->add_special));
    if (served.ids.size() >= example.tokens.size()) return Status();  // the answer was cut off
    Compare(example, served.ids);
    return Status();
  }

  const std::string& first_difference() const { return first_difference_; }

 private:
  void Compare(const TokenizedExample& example, const std::vector<uint32_t>& served) {
    ++check_->compared;
    const auto differ = std::ranges::mismatch(served, example.tokens);
    if (differ.in1 == served.end()) return;
    if (check_->served_otherwise++ > 0) return;
    first_difference_ = "example " + ToHex(example.id) + " was trained on " +
                        Quoted(*options_.assets.tokenizer, {differ.in2, example.tokens.end()}) +
                        " where it is served " +
                        Quoted(*options_.assets.tokenizer, {differ.in1, served.end()});
  }

  const TokenizeOptions& options_;
  DataCheck* const check_;
  std::string first_difference_;
};

Result<std::string> CheckRows(const Work& work, DataCheck* check) {
  RowCheck rows(work.options, check);
  for (const Part& part : work.parts) {
    ATTUNE_ASSIGN_OR_RETURN(const std::vector<std::string> lines, FirstRows(part.version));
    for (const std::string& line : lines) ATTUNE_RETURN_IF_ERROR(rows.Row(line));
  }
  return rows.first_difference();
}

std::string Of(int64_t part, int64_t whole) {
  return std::to_string(part) + " of " + std::to_string(whole);
}

void AddEndVerdict(const TrainOptions& train, bool model_has_end, DataCheck* check) {
  const EndCounts ends{check->whole, check->ends_learned};
  if (!model_has_end) {
    check->warnings.push_back(
        "the model names no token that ends a generation (eos_token_id): nothing can be said of "
        "whether it learns to stop");
  } else if (std::string problem = EndProblem(ends, train); !problem.empty()) {
    check->problems.push_back(std::move(problem));
  } else if (ends.learned < ends.whole) {
    check->warnings.push_back(Of(ends.whole - ends.learned, ends.whole) +
                              " whole examples do not teach the model to stop");
  }
}

void AddWarnings(const std::string& first_difference, DataCheck* check) {
  if (check->leaked > 0) {
    check->warnings.push_back(std::to_string(check->leaked) +
                              " training examples are in a validation split, too: the validation "
                              "loss is too good (another data set of the job has them)");
  }
  if (check->served_otherwise > 0) {
    check->warnings.push_back(Of(check->served_otherwise, check->compared) +
                              " prompts are served to the model in other tokens than it was "
                              "trained on; " +
                              first_difference);
  }
}

}  // namespace

EndCounts CountEnds(const TokenShard& shard, const std::vector<uint32_t>& end_ids,
                    int sequence_length) {
  EndCounts counts;
  // Of all data sets of a mix, which follow each other.
  const size_t stride = (shard.size() + kEndsLookedAt - 1) / kEndsLookedAt;
  for (size_t i = 0; i < shard.size(); i += stride) {
    if (shard.lengths()[i] >= static_cast<uint32_t>(sequence_length)) continue;
    counts.learned += TeachesEnd(shard.Example(i), end_ids);
    if (++counts.whole % kEndsBetweenReleases == 0) shard.Release();
  }
  return counts;
}

std::string EndProblem(const EndCounts& ends, const TrainOptions& train) {
  if (!train.require_end || ends.whole == 0 || ends.learned > 0) return "";
  return "none of the " + std::to_string(ends.whole) +
         " whole examples teaches the model to stop: what is learned of them does not end with a "
         "token that ends a generation (the chat template's {% generation %} block must take the "
         "end of the turn in; or set train.require_end: false)";
}

Status CheckTeaches(const PrepareTask& task) {
  if (!task.train.require_end) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const Objective objective, ResolveObjective(task.objective, task.base));
  if (!TeachesAnswers(KindOf(objective))) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const text::TextAssets assets, LoadModelText(task.base));
  if (assets.end_ids.empty()) return Status();
  ATTUNE_ASSIGN_OR_RETURN(const PreparedData data, OpenPrepared(task));
  const std::string problem =
      EndProblem(CountEnds(*data.train, assets.end_ids,
                           SequenceCapacity(KindOf(objective), task.train.sequence_length)),
                 task.train);
  if (problem.empty()) return Status();
  return InvalidArgument("the data cannot teach the model: " + problem)
      .WithField("train.require_end");
}

Result<DataCheck> Inspect(const PrepareTask& task, const Work& work, const PreparedData& data,
                          std::vector<int64_t> step_tokens) {
  DataCheck check;
  const std::vector<uint32_t>& end_ids = work.options.assets.end_ids;
  const ObjectiveKind kind = KindOf(work.options.objective);
  const int capacity = SequenceCapacity(kind, task.train.sequence_length);
  if (TeachesAnswers(kind)) {
    const EndCounts ends = CountEnds(*data.train, end_ids, capacity);
    check.whole = ends.whole;
    check.ends_learned = ends.learned;
  }
  FindLeaks(data, &check);
  check.lengths = Histogram(data.train->lengths(), capacity);
  CountStepTokens(std::move(step_tokens), &check);
  ATTUNE_ASSIGN_OR_RETURN(const std::string first_difference, CheckRows(work, &check));
  if (TeachesAnswers(kind)) AddEndVerdict(task.train, !end_ids.empty(), &check);
  AddWarnings(first_difference, &check);
  return check;
}

}  // namespace attune::engine
