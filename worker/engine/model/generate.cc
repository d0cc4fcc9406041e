// Text generation: prompts are answered some at a time, each with a key-value cache; tokens are
// the likeliest, or sampled from the top-p set by a seed.

#include "worker/engine/model/generate.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <numeric>
#include <random>
#include <stdexcept>
#include <utility>

#include "worker/engine/model/prompt.h"
#include "worker/engine/model/transformer.h"

namespace attune::engine {
namespace {

constexpr size_t kTokensAtOnce = 4096;  // of prompts that are read together, unless one has more
constexpr char kNoMemory[] =
    "not enough memory to generate: answer fewer prompts at a time (--batch), or make shorter "
    "answers (--max-tokens)";

// What no choice can be made of.
struct NotFinite : std::runtime_error {
  NotFinite() : std::runtime_error("the model's logits are no finite numbers") {}
};

uint32_t Greedy(const float* logits, int64_t count) {
  return static_cast<uint32_t>(std::max_element(logits, logits + count) - logits);
}

// By likelihood, the first of equal ones first: all tokens, or top_k and those as likely as the
// last of these.
std::vector<uint32_t> MostLikely(const float* logits, int64_t count, int top_k) {
  std::vector<uint32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0u);
  const size_t wanted =
      top_k > 0 ? std::min(order.size(), static_cast<size_t>(top_k)) : order.size();
  const auto rest = order.begin() + static_cast<std::ptrdiff_t>(wanted);
  std::ranges::partial_sort(order, rest, [&](uint32_t a, uint32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  const float last = logits[order[wanted - 1]];
  const auto end =
      std::partition(rest, order.end(), [&](uint32_t token) { return logits[token] == last; });
  std::sort(rest, end);
  order.erase(end, order.end());
  return order;
}

// Of the top_k most likely tokens the smallest set of most likely ones whose probability among them
// reaches top_p (transformers' TopKLogitsWarper, then TopPLogitsWarper), then one of it by its
// probability. uniform in [0, 1).
uint32_t Sample(const float* logits, int64_t count, const LanguageModel::GenerateOptions& options,
                double uniform) {
  const std::vector<uint32_t> order = MostLikely(logits, count, options.top_k);
  const double largest = logits[order[0]];
  std::vector<double> weights(order.size());
  double total = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    weights[i] = std::exp((logits[order[i]] - largest) / options.temperature);
    total += weights[i];
  }
  size_t kept = 0;
  double mass = 0;
  while (kept < order.size() && (kept == 0 || mass < options.top_p * total)) {
    mass += weights[kept++];
  }
  double rest = uniform * mass;
  for (size_t i = 0; i < kept; ++i) {
    rest -= weights[i];
    if (rest < 0) return order[i];
  }
  return order[kept - 1];
}

}  // namespace

uint32_t ChooseToken(const float* logits, int64_t count,
                     const LanguageModel::GenerateOptions& options, std::mt19937_64& random) {
  // No NaN and no infinity but the one of what must not come.
  if (!std::all_of(logits, logits + count, [](float x) { return x < INFINITY; })) throw NotFinite();
  const double uniform = static_cast<double>(random() >> 11) * 0x1.0p-53;
  return options.temperature == 0 ? Greedy(logits, count) : Sample(logits, count, options, uniform);
}

Status CheckRequest(std::span<const LanguageModel::GeneratePrompt> prompts,
                    const LanguageModel::GenerateOptions& options, int64_t vocabulary) {
  if (!(options.temperature >= 0) || options.top_k < 0 ||
      !(options.top_p > 0 && options.top_p <= 1)) {
    return InvalidArgument(
        "temperature and top_k must be at least 0, and top_p above 0 and at most 1");
  }
  for (size_t i = 0; i < prompts.size(); ++i) {
    const std::string which =
        prompts.size() == 1 ? "the prompt" : "prompt " + std::to_string(i + 1);
    const std::vector<uint32_t>& tokens = prompts[i].tokens;
    if (tokens.empty()) return InvalidArgument(which + " has no token");
    if (prompts[i].max_tokens < 1) return InvalidArgument("max_tokens must be at least 1");
    const uint32_t largest = std::ranges::max(tokens);
    if (largest < vocabulary) continue;
    return InvalidArgument(which + " has the token " + std::to_string(largest) +
                           ", which is outside the model's vocabulary of " +
                           std::to_string(vocabulary));
  }
  return {};
}

Status LanguageModel::Generate(const std::vector<uint32_t>& prompt, const GenerateOptions& options,
                               const std::function<bool(uint32_t)>& on_token) {
  const GeneratePrompt only{prompt, options.max_tokens};
  return GenerateAll({&only, 1}, options,
                     {.on_token = [&](size_t, uint32_t token) { return on_token(token); },
                      .on_end = [](size_t) { return true; }});
}

std::vector<LayerCache> Transformer::MakeCaches(int64_t capacity) const {
  const auto kind = at::TensorOptions().dtype(dtype_).device(device_);
  std::vector<LayerCache> caches(writers().size());
  for (LayerCache& cache : caches) {
    cache = {at::empty({capacity, config_.kv_size()}, kind),
             at::empty({capacity, config_.kv_size()}, kind)};
  }
  return caches;
}

Generation Transformer::Start(const GeneratePrompt& prompt) {
  const auto length = static_cast<int64_t>(prompt.tokens.size());
  return {.tokens = {prompt.tokens.begin(), prompt.tokens.end()},
          .caches = MakeCaches(prompt_rows() + length + prompt.max_tokens)};
}

at::Tensor Transformer::NextLogits(std::span<Generation* const> sequences) {
  const bool begin = sequences[0]->cached == 0;
  std::vector<int64_t> tokens, positions, pasts, last, offsets = {0};
  int64_t longest = 0;
  for (const Generation* sequence : sequences) {
    const auto length = static_cast<int64_t>(sequence->tokens.size());
    for (int64_t i = sequence->cached; i < length; ++i) {
      tokens.push_back(sequence->tokens[static_cast<size_t>(i)]);
      positions.push_back(i);
    }
    pasts.push_back(CachedRows(*sequence));
    offsets.push_back(static_cast<int64_t>(tokens.size()));
    longest = std::max(longest, length);
  }
  const auto on_device = [&](const std::vector<int64_t>& rows) {
    return at::tensor(rows, at::kLong).to(device_);
  };
  at::Tensor x = Embedded(on_device(tokens), nullptr), places = on_device(positions);
  if (begin) {
    x = Prompted(x, offsets);
    places = PromptedPositions(places, offsets);
    offsets = OffsetsBehindPrompt(offsets, prompt_rows());
  } else {
    places.add_(prompt_rows());
  }
  for (size_t e = 1; e < offsets.size(); ++e) last.push_back(offsets[e] - 1);
  const std::shared_ptr<ForwardContext> context = MakeContext(offsets, places, pasts);
  AddWritersBias(longest, context.get());
  x = Inputs(x, places);
  for (size_t layer = 0; layer < writers().size(); ++layer) {
    std::vector<FilledCache> caches;
    for (const Generation* sequence : sequences) {
      caches.push_back({&sequence->caches[layer], CachedRows(*sequence)});
    }
    x = writers()[layer].Extend(x, context, caches);
  }
  for (Generation* sequence : sequences) {
    sequence->cached = static_cast<int64_t>(sequence->tokens.size());
  }
  return LogitsOf(Normalized(x.index_select(0, on_device(last)))).cpu();
}

bool Transformer::Append(const float* logits, const GenerateOptions& options,
                         const AnswerListener& listener, Generation* answer) const {
  const uint32_t token = ChooseToken(logits, config_.vocabulary_size, options, answer->random);
  if (std::ranges::find(options.end_ids, token) != options.end_ids.end()) return false;
  const bool goes_on = listener.on_token(answer->prompt, token);
  answer->tokens.push_back(token);
  ++answer->made;
  // Then all keys are made again, as transformers does.
  const bool switches = std::ranges::any_of(
      ropes_, [&](const RopeTable& rope) { return rope.SwitchesAfter(CachedRows(*answer)); });
  if (switches) answer->cached = 0;
  return goes_on && answer->made < answer->max_tokens;
}

bool Transformer::Advance(std::span<Generation* const> some, const GenerateOptions& options,
                          const AnswerListener& listener) {
  if (some.empty()) return true;
  const at::Tensor logits = NextLogits(some);
  bool wanted = true;
  for (size_t i = 0; i < some.size() && wanted; ++i) {
    const float* row = logits.const_data_ptr<float>() + static_cast<int64_t>(i) * logits.size(1);
    if (Append(row, options, listener, some[i])) continue;
    some[i]->ended = true;
    wanted = listener.on_end(some[i]->prompt);
  }
  return wanted;
}

bool Transformer::AdvanceAll(std::list<Generation>* answers, const GenerateOptions& options,
                             const AnswerListener& listener) {
  std::vector<Generation*> going, fresh;
  for (Generation& answer : *answers) (answer.cached == 0 ? fresh : going).push_back(&answer);
  if (!Advance(going, options, listener)) return false;
  for (size_t first = 0, next = 0; first < fresh.size(); first = next) {
    size_t tokens = 0;
    for (; next < fresh.size(); ++next) {
      tokens += fresh[next]->tokens.size();
      if (next > first && tokens > kTokensAtOnce) break;
    }
    const std::span<Generation* const> some = std::span(fresh).subspan(first, next - first);
    if (!Advance(some, options, listener)) return false;
  }
  return true;
}

Status Transformer::GenerateAll(std::span<const GeneratePrompt> prompts,
                                const GenerateOptions& options, const AnswerListener& listener) {
  if (!predicts_next() && !reads_sources()) {
    return InvalidArgument("the architecture " + config_.architecture +
                           " is an encoder, which generates no text");
  }
  ATTUNE_RETURN_IF_ERROR(CheckRequest(prompts, options, config_.vocabulary_size));
  try {
    at::NoGradGuard no_grad;
    std::list<Generation> answers;
    size_t next = 0;
    bool wanted = true;
    while (wanted && (next < prompts.size() || !answers.empty())) {
      const auto batch = static_cast<size_t>(std::max(options.batch, 1));
      for (; next < prompts.size() && answers.size() < batch; ++next) {
        Generation& answer = answers.emplace_back(Start(prompts[next]));
        answer.prompt = next;
        answer.max_tokens = prompts[next].max_tokens;
        answer.random.seed(options.seed);
      }
      wanted = AdvanceAll(&answers, options, listener);
      std::erase_if(answers, [](const Generation& answer) { return answer.ended; });
    }
  } catch (const NotFinite& error) {
    return FailedPrecondition(std::string(error.what()) +
                              ": its weights are damaged, or too large for the precision");
  } catch (const std::bad_alloc&) {
    return Internal(kNoMemory);
  } catch (const c10::OutOfMemoryError&) {
    return Internal(kNoMemory);
  } catch (const std::exception& error) {
    return Internal(std::string("generating: ") + error.what());
  }
  return {};
}

}  // namespace attune::engine
