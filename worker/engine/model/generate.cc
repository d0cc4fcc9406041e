// Text generation: a key-value cache, greedy choice or seeded sampling from the top-p set.

#include "worker/engine/model/generate.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "worker/engine/model/transformer.h"

namespace attune::engine {
namespace {

uint32_t Greedy(const float* logits, int64_t count) {
  return static_cast<uint32_t>(std::max_element(logits, logits + count) - logits);
}

// Of the top_k most likely tokens the smallest set of most likely ones whose probability among them
// reaches top_p (transformers' TopKLogitsWarper, then TopPLogitsWarper), then one of it by its
// probability. uniform in [0, 1).
uint32_t Sample(const float* logits, int64_t count, const LanguageModel::GenerateOptions& options,
                double uniform) {
  std::vector<uint32_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::stable_sort(order, [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  if (options.top_k > 0) {
    order.resize(std::min(order.size(), static_cast<size_t>(options.top_k)));
  }
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
  const double uniform = static_cast<double>(random() >> 11) * 0x1.0p-53;
  return options.temperature == 0 ? Greedy(logits, count) : Sample(logits, count, options, uniform);
}

Status CheckRequest(const std::vector<uint32_t>& prompt,
                    const LanguageModel::GenerateOptions& options, int64_t vocabulary) {
  if (prompt.empty()) return InvalidArgument("the prompt has no token");
  for (uint32_t token : prompt) {
    if (token >= vocabulary) {
      return InvalidArgument("the prompt's token " + std::to_string(token) +
                             " is outside the model's vocabulary of " + std::to_string(vocabulary));
    }
  }
  if (!(options.temperature >= 0) || options.top_k < 0 ||
      !(options.top_p > 0 && options.top_p <= 1)) {
    return InvalidArgument(
        "temperature and top_k must be at least 0, and top_p above 0 and at most 1");
  }
  return {};
}

at::Tensor Transformer::NextLogits(const std::vector<int64_t>& tokens,
                                   const std::vector<LayerCache>& cache, int64_t length) {
  const auto count = static_cast<int64_t>(tokens.size());
  const at::Tensor positions =
      at::arange(length, length + count, at::TensorOptions(at::kLong).device(device_));
  const std::shared_ptr<ForwardContext> context = MakeContext({0, count}, positions, length);
  at::Tensor x = Inputs(at::tensor(tokens, at::kLong).to(device_), positions, nullptr);
  for (size_t i = 0; i < layers_.size(); ++i) x = layers_[i].Extend(x, context, cache[i], length);
  return LogitsOf(Normalized(x.narrow(0, count - 1, 1).contiguous())).cpu();
}

Status Transformer::Generate(const std::vector<uint32_t>& prompt, const GenerateOptions& options,
                             const std::function<bool(uint32_t)>& on_token) {
  if (config_.head != HeadKind::kNextToken) {
    return InvalidArgument("the architecture " + config_.architecture +
                           " is an encoder, which generates no text");
  }
  ATTUNE_RETURN_IF_ERROR(CheckRequest(prompt, options, config_.vocabulary_size));
  try {
    at::NoGradGuard no_grad;
    const int64_t capacity = static_cast<int64_t>(prompt.size()) + std::max(options.max_tokens, 0);
    std::vector<LayerCache> cache(layers_.size());
    for (LayerCache& layer : cache) {
      const auto kind = at::TensorOptions().dtype(dtype_).device(device_);
      layer = {at::empty({capacity, config_.kv_size()}, kind),
               at::empty({capacity, config_.kv_size()}, kind)};
    }
    std::mt19937_64 random(options.seed);
    std::vector<int64_t> tokens(prompt.begin(), prompt.end()), all = tokens;
    int64_t length = 0;
    for (int made = 0; made < options.max_tokens; ++made) {
      const at::Tensor logits = NextLogits(tokens, cache, length);
      length += static_cast<int64_t>(tokens.size());
      const uint32_t token =
          ChooseToken(logits.const_data_ptr<float>(), config_.vocabulary_size, options, random);
      if (std::ranges::find(options.end_ids, token) != options.end_ids.end()) return {};
      if (!on_token(token)) return {};
      all.push_back(token);
      tokens = {token};
      // Then all keys are made again, as transformers does.
      if (std::ranges::any_of(ropes_,
                              [&](const RopeTable& r) { return r.SwitchesAfter(length); })) {
        tokens = all;
        length = 0;
      }
    }
  } catch (const std::bad_alloc&) {
    return Internal("not enough memory to generate " + std::to_string(options.max_tokens) +
                    " tokens");
  } catch (const std::exception& error) {
    return Internal(std::string("generating: ") + error.what());
  }
  return {};
}

}  // namespace attune::engine
