#include "worker/engine/model/encoder_decoder.h"

#include <ATen/ATen.h>

#include "worker/engine/parts/distance_bias.h"

namespace attune::engine {
namespace {

// The rows of one part of a batch's examples, and where in it they lie.
struct PartRows {
  std::vector<int64_t> rows, offsets = {0};

  void Add(int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) rows.push_back(row);
    offsets.push_back(static_cast<int64_t>(rows.size()));
  }
};

void CheckSources(const PackedBatch& batch) {
  TORCH_CHECK(batch.sources.size() + 1 == batch.offsets.size(),
              "an encoder-decoder needs the length of every example's source");
  for (size_t e = 0; e < batch.sources.size(); ++e) {
    const int64_t length = batch.offsets[e + 1] - batch.offsets[e], source = batch.sources[e];
    TORCH_CHECK(source <= length && source >= (length > 0 ? 1 : 0), "the source of example ", e,
                " of a batch has ", source, " of its ", length, " tokens");
  }
}

}  // namespace

std::span<const Block> EncoderDecoder::encoder() const {
  return std::span<const Block>(layers_).first(static_cast<size_t>(config_.encoder->layers));
}

std::span<const Block> EncoderDecoder::decoder() const {
  return std::span<const Block>(layers_).subspan(static_cast<size_t>(config_.encoder->layers));
}

EncoderDecoder::Parts EncoderDecoder::Split(const PackedBatch& batch) const {
  CheckSources(batch);
  PartRows source, answer;
  std::vector<int64_t> starts;  // rows of the answers' first tokens, among the answers
  for (size_t e = 0; e < batch.sources.size(); ++e) {
    const int64_t begin = batch.offsets[e], end = batch.offsets[e + 1];
    const int64_t first = begin + batch.sources[e];
    source.Add(begin, first);
    if (first < end) starts.push_back(answer.offsets.back());
    answer.Add(first, end);
  }
  const auto on_device = [&](const std::vector<int64_t>& rows) {
    return at::tensor(rows, at::kLong).to(device_);
  };
  Parts parts;
  parts.source_rows = on_device(source.rows);
  parts.answer_rows = on_device(answer.rows);
  parts.sources.tokens = batch.tokens.index_select(0, parts.source_rows);
  parts.sources.offsets = std::move(source.offsets);
  parts.sources.examples = parts.answers.examples = batch.examples;
  parts.answers.tokens = batch.tokens.index_select(0, parts.answer_rows - 1)
                             .index_fill_(0, on_device(starts), config_.start_token);
  parts.answers.offsets = std::move(answer.offsets);
  parts.answers.targets = batch.tokens.index_select(0, parts.answer_rows);
  parts.answers.target_rows =
      at::arange(parts.answers.targets.size(0), parts.answer_rows.options());
  return parts;
}

void EncoderDecoder::AddBias(std::span<const Block> stack, const ModelConfig& config,
                             int64_t longest, ForwardContext* context) const {
  context->distance_bias =
      DistanceBias(stack.front().distance_table(), config.distances, longest, config.causal);
}

at::Tensor EncoderDecoder::Encode(const at::Tensor& x, const SharedContext& context) const {
  at::Tensor rows = x;
  for (const Block& layer : encoder()) rows = layer.Forward(rows, context);
  return Normalize(rows, encoder_norm_);
}

// The source is read once: each layer of the decoder keeps keys and values of its rows.
Generation EncoderDecoder::Start(const GeneratePrompt& prompt) {
  const auto length = static_cast<int64_t>(prompt.tokens.size());
  const std::shared_ptr<ForwardContext> reading = MakeContext({0, length}, {});
  AddBias(encoder(), *config_.encoder, length, reading.get());
  const std::vector<int64_t> tokens(prompt.tokens.begin(), prompt.tokens.end());
  const auto answering = std::make_shared<ForwardContext>();
  answering->source = reading;
  answering->encoded =
      Encode(Embedded(at::tensor(tokens, at::kLong).to(device_), nullptr), reading);
  Generation answer{.tokens = {config_.start_token}, .caches = MakeCaches(prompt.max_tokens)};
  for (size_t i = 0; i < answer.caches.size(); ++i) {
    answer.caches[i].source = decoder()[i].SourceKeyValue(answering);
  }
  return answer;
}

EncoderDecoder::Rows EncoderDecoder::Run(const Parts& parts,
                                         const std::shared_ptr<TiedGradient>& tied) {
  const std::shared_ptr<ForwardContext> source = MakeContext(parts.sources);
  const std::shared_ptr<ForwardContext> answer = MakeContext(parts.answers);
  AddBias(encoder(), *config_.encoder, source->spans.longest, source.get());
  AddBias(decoder(), config_, answer->spans.longest, answer.get());
  // One look-up for both, since it gives the embedding's whole gradient at once.
  const at::Tensor x = Embedded(at::cat({parts.sources.tokens, parts.answers.tokens}), tied);
  const int64_t sources = parts.sources.tokens.size(0);
  answer->source = source;
  answer->encoded = Encode(x.narrow(0, 0, sources), source);
  at::Tensor rows = x.narrow(0, sources, x.size(0) - sources);
  for (const Block& layer : decoder()) rows = layer.Forward(rows, answer);
  return {answer->encoded, rows};
}

at::Tensor EncoderDecoder::LossSum(const PackedBatch& batch) {
  const Parts parts = Split(batch);
  const std::shared_ptr<TiedGradient> tied = ShareTied();
  return HeadLossSum(Run(parts, tied).decoded, output(), parts.answers, tied);
}

at::Tensor EncoderDecoder::Logits(const PackedBatch& batch, const at::Tensor& rows) {
  at::NoGradGuard no_grad;
  const Parts parts = Split(batch);
  at::Tensor predicting = at::full({batch.tokens.size(0)}, -1, parts.answer_rows.options());
  predicting.index_copy_(0, parts.answer_rows - 1, parts.answers.target_rows);
  const at::Tensor decoded = predicting.index_select(0, rows);
  TORCH_CHECK(decoded.numel() == 0 || decoded.min().item<int64_t>() >= 0,
              "logits are asked for at rows that no token of an answer follows");
  return LogitsOf(Normalized(Run(parts, nullptr).decoded.index_select(0, decoded)));
}

Measurement EncoderDecoder::Measure(const PackedBatch& batch, bool every_row) {
  at::NoGradGuard no_grad;
  const Parts parts = Split(batch);
  CheckTargets(parts.answers, config_.vocabulary_size);
  const Rows rows = Run(parts, nullptr);
  Measurement measured = MeasureRows(rows.decoded, parts.answers, every_row);
  if (!every_row) return measured;
  const at::Tensor entropies = at::zeros({batch.tokens.size(0)}, measured.entropies.options());
  entropies.index_copy_(0, parts.answer_rows - 1, measured.entropies);
  const at::Tensor hidden =
      at::empty({batch.tokens.size(0), config_.hidden_size}, rows.encoded.options());
  hidden.index_copy_(0, parts.source_rows, rows.encoded);
  hidden.index_copy_(0, parts.answer_rows, measured.hidden);
  measured.entropies = entropies;
  measured.hidden = hidden;
  return measured;
}

}  // namespace attune::engine
