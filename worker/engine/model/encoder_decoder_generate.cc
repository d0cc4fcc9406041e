// An answer to one source, which is encoded once: each layer of the decoder keeps its keys and
// values of the answer, and those of the encoder's rows.

#include <ATen/ATen.h>

#include <algorithm>
#include <random>

#include "worker/engine/model/encoder_decoder.h"
#include "worker/engine/model/generate.h"

namespace attune::engine {

// Of the answer's next row, whatever its place.
SharedContext EncoderDecoder::ContextOfAnswer(const std::vector<uint32_t>& source,
                                              int64_t capacity) {
  const auto length = static_cast<int64_t>(source.size());
  const std::shared_ptr<ForwardContext> reading = MakeContext({0, length}, {}, 0);
  AddBias(encoder(), *config_.encoder, length, reading.get());
  const std::shared_ptr<ForwardContext> answering = MakeContext({0, 1}, {}, 0);
  AddBias(decoder(), config_, capacity, answering.get());
  const std::vector<int64_t> tokens(source.begin(), source.end());
  answering->source = reading;
  answering->encoded = Encode(Inputs(at::tensor(tokens, at::kLong).to(device_), nullptr), reading);
  return answering;
}

std::vector<LayerCache> EncoderDecoder::CacheOfAnswer(const SharedContext& context,
                                                      int64_t capacity) const {
  std::vector<LayerCache> cache;
  const auto kind = at::TensorOptions().dtype(dtype_).device(device_);
  for (const Block& layer : decoder()) {
    cache.push_back({at::empty({capacity, config_.kv_size()}, kind),
                     at::empty({capacity, config_.kv_size()}, kind),
                     layer.SourceKeyValue(context)});
  }
  return cache;
}

at::Tensor EncoderDecoder::NextLogits(int64_t token, const SharedContext& context,
                                      const std::vector<LayerCache>& cache, int64_t length) {
  at::Tensor x = Inputs(at::full({1}, token, at::kLong).to(device_), nullptr);
  for (size_t i = 0; i < cache.size(); ++i) {
    x = decoder()[i].Extend(x, context, cache[i], length);
  }
  return LogitsOf(Normalized(x)).cpu();
}

Status EncoderDecoder::Generate(const std::vector<uint32_t>& prompt, const GenerateOptions& options,
                                const std::function<bool(uint32_t)>& on_token) {
  ATTUNE_RETURN_IF_ERROR(CheckRequest(prompt, options, config_.vocabulary_size));
  try {
    at::NoGradGuard no_grad;
    const int64_t capacity = std::max(options.max_tokens, 1);
    const SharedContext context = ContextOfAnswer(prompt, capacity);
    const std::vector<LayerCache> cache = CacheOfAnswer(context, capacity);
    std::mt19937_64 random(options.seed);
    int64_t token = config_.start_token;
    for (int made = 0; made < options.max_tokens; ++made) {
      const at::Tensor logits = NextLogits(token, context, cache, made);
      const uint32_t next =
          ChooseToken(logits.const_data_ptr<float>(), config_.vocabulary_size, options, random);
      if (std::ranges::find(options.end_ids, next) != options.end_ids.end()) return {};
      if (!on_token(next)) return {};
      token = next;
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
