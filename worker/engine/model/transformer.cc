#include "worker/engine/model/transformer.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <utility>

#include "common/model/tensors.h"
#include "worker/engine/adapters/resolve.h"
#include "worker/engine/kernels/cross_entropy.h"
#include "worker/engine/kernels/matmul.h"
#include "worker/engine/kernels/pointwise.h"
#include "worker/engine/model/prompt.h"

namespace attune::engine {

namespace {

int64_t CheckpointedLayers(const LoadOptions& options) {
  if (!options.activation_checkpointing) return 0;
  return options.checkpointed_layers > 0 ? options.checkpointed_layers : INT64_MAX;
}

}  // namespace

Transformer::Transformer(ModelConfig config, const LoadOptions& options)
    : config_(std::move(config)),
      device_(options.device),
      dtype_(options.precision == "bfloat16" ? at::kBFloat16 : at::kFloat),
      checkpointed_layers_(CheckpointedLayers(options)),
      nf4_(options.nf4) {
  const auto weights =
      at::TensorOptions().dtype(options.frozen ? dtype_ : at::kFloat).device(device_);
  for (const RopeConfig& rope : config_.ropes) ropes_.emplace_back(rope, device_);
  embed_ = at::empty({config_.vocabulary_size, config_.hidden_size}, weights);
  if (!config_.tied_embeddings) {
    head_ = at::empty({config_.outputs(), config_.hidden_size}, weights);
  }
  if (config_.learned_positions()) {
    positions_ = at::empty({config_.max_positions, config_.hidden_size}, weights);
  }
  if (config_.token_types > 0) {
    token_types_ = at::empty({config_.token_types, config_.hidden_size}, weights);
  }
  const auto norm = [&](const std::string& name) {
    if (name.empty()) return Norm();
    return Norm(config_.norm, config_.norm_eps, config_.hidden_size, name, device_);
  };
  const auto square = [&](const std::string& name) {
    const int64_t size = config_.hidden_size;
    if (name.empty()) return Projection();
    return Projection({{name, size, size, /*bias=*/true}}, /*transposed=*/false, weights);
  };
  embedding_norm_ = norm(config_.names.embedding_norm);
  const bool masked = config_.head == HeadKind::kMaskedToken;
  norm_ = norm(masked ? config_.names.transform_norm : config_.names.norm);
  transform_ = square(config_.names.transform);
  pooler_ = square(config_.names.pooler);
  if (!config_.names.head_bias.empty()) head_bias_ = at::empty({config_.outputs()}, weights);
  if (config_.encoder) encoder_norm_ = norm(config_.encoder->names.norm);
  for (const ModelConfig* stack :
       {config_.encoder.get(), static_cast<const ModelConfig*>(&config_)}) {
    for (int64_t i = 0; stack != nullptr && i < stack->layers; ++i) {
      layers_.emplace_back(*stack, i, weights, nf4_);
    }
  }
  TrainBase(!options.frozen);
}

bool Transformer::predicts_next() const {
  return CheckPredictsNext(config_, "").ok();
}

void Transformer::TrainBase(bool trains) {
  for (at::Tensor* tensor : {&embed_, &positions_, &token_types_, &head_, &head_bias_}) {
    if (tensor->defined()) *tensor = tensor->detach().requires_grad_(trains);
  }
  for (Norm* norm : {&embedding_norm_, &encoder_norm_, &norm_}) norm->TrainBase(trains);
  transform_.TrainBase(trains);
  pooler_.TrainBase(trains && config_.head == HeadKind::kLabels);
  for (Block& layer : layers_) layer.TrainBase(trains);
}

NamedTensors Transformer::OutsideLayers() const {
  NamedTensors all;
  all.emplace_back(config_.names.embedding + ".weight", embed_);
  if (positions_.defined()) all.emplace_back(config_.names.positions + ".weight", positions_);
  if (token_types_.defined()) all.emplace_back(config_.names.token_types + ".weight", token_types_);
  embedding_norm_.AppendTo(&all);
  encoder_norm_.AppendTo(&all);
  transform_.AppendTo(&all);
  pooler_.AppendTo(&all);
  norm_.AppendTo(&all);
  if (head_bias_.defined()) all.emplace_back(config_.names.head_bias, head_bias_);
  if (head_.defined()) all.emplace_back(config_.names.head + ".weight", head_);
  return all;
}

NamedTensors Transformer::BaseParameters() const {
  NamedTensors all = OutsideLayers();
  for (const Block& layer : layers_) layer.AppendTo(&all);
  if (adapters_.seen() != nullptr) adapters_.seen()->ShowBase(&all);
  return all;
}

std::vector<std::pair<std::string, at::Tensor*>> Transformer::Tables() {
  const ModelNames& names = config_.names;
  return {{names.embedding + ".weight", &embed_},
          {names.positions + ".weight", &positions_},
          {names.token_types + ".weight", &token_types_},
          {names.head_bias, &head_bias_},
          {names.head + ".weight", &head_}};
}

Slots Transformer::AllSlots() {
  Slots slots;
  for (const auto& [name, table] : Tables()) {
    if (table->defined()) slots.push_back({name, table, *table});
  }
  for (Norm* norm : {&embedding_norm_, &encoder_norm_, &norm_}) norm->AppendTo(&slots);
  transform_.AppendTo(&slots);
  if (config_.head == HeadKind::kLabels) pooler_.AppendTo(&slots);
  for (Block& layer : layers_) layer.AppendTo(&slots);
  return slots;
}

void Transformer::Freeze() {
  adapters_.Enable(false);
  TrainBase(false);
  for (Block& layer : layers_) {
    for (Projection* projection : layer.projections()) projection->StoreFrozenAs(dtype_);
  }
  for (const auto& [tensor, table] : Tables()) {
    if (table->defined() && table != &head_bias_) *table = table->to(dtype_);
  }
}

Result<std::unique_ptr<LoraAdapter>> Transformer::MakeLora(LoraConfig config) {
  std::vector<Projection*> projections;
  for (Block& layer : layers_) {
    for (Projection* projection : layer.projections()) projections.push_back(projection);
  }
  return LoraAdapter::Make(std::move(config), projections, AllSlots());
}

std::unique_ptr<PromptAdapter> Transformer::MakePrompt(const PromptConfig& config) {
  return std::make_unique<PromptAdapter>(config, config_.hidden_size, device_, &prompt_);
}

Result<std::unique_ptr<Adapter>> Transformer::MakeAdapter(const AdapterConfig& config) {
  if (const auto* prompt = std::get_if<PromptConfig>(&config)) {
    return std::unique_ptr<Adapter>(MakePrompt(*prompt));
  }
  ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<LoraAdapter> lora,
                          MakeLora(std::get<LoraConfig>(config)));
  return std::unique_ptr<Adapter>(std::move(lora));
}

Status Transformer::AddLora(const Method& method, uint64_t seed) {
  ATTUNE_ASSIGN_OR_RETURN(LoraConfig config, ResolveLora(method, config_));
  if (has_adapter()) return adapters_.chosen()->Continue(config);
  try {
    Freeze();
    ATTUNE_ASSIGN_OR_RETURN(std::unique_ptr<LoraAdapter> lora, MakeLora(std::move(config)));
    lora->Start(seed);
    adapters_.Add("default", std::move(lora));
    adapters_.Enable(true);
  } catch (const std::exception& error) {
    return Internal(std::string("adding LoRA: ") + error.what());
  }
  return {};
}

Status Transformer::AddPrompt(const Method& method, const std::vector<uint32_t>& start,
                              uint64_t seed) {
  ATTUNE_ASSIGN_OR_RETURN(const PromptConfig config, ResolvePrompt(method, config_));
  if (has_adapter()) return adapters_.chosen()->Continue(config);
  for (const uint32_t token : start) {
    if (token < config_.vocabulary_size) continue;
    return InvalidArgument("method.init_text has the token " + std::to_string(token) +
                           ", which is outside the model's vocabulary of " +
                           std::to_string(config_.vocabulary_size))
        .WithField("method.init_text");
  }
  try {
    Freeze();
    at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
    at::Tensor tokens =
        at::randint(config_.vocabulary_size, {config.virtual_tokens}, generator, at::kLong);
    for (int64_t i = 0; i < config.virtual_tokens && !start.empty(); ++i) {
      tokens[i] = static_cast<int64_t>(start[static_cast<size_t>(i) % start.size()]);
    }
    std::unique_ptr<PromptAdapter> prompt = MakePrompt(config);
    prompt->Start(Embedded(tokens.to(device_), nullptr));
    adapters_.Add("default", std::move(prompt));
    adapters_.Enable(true);
  } catch (const std::exception& error) {
    return Internal(std::string("adding a prompt: ") + error.what());
  }
  return {};
}

void Transformer::SetTraining(bool training, uint64_t dropout_seed) {
  training_ = training;
  dropout_seed_ = dropout_seed;
  if (has_adapter()) adapters_.chosen()->ParametersChanged();
}

NamedTensors Transformer::TrainableParameters() const {
  if (has_adapter()) return adapters_.chosen()->Parameters();
  NamedTensors all = BaseParameters();
  std::erase_if(all, [](const auto& named) { return !named.second.requires_grad(); });
  return all;
}

std::string Transformer::ConfigJson(const std::string& dtype) const {
  return attune::ConfigJson(config_, dtype);
}

std::string Transformer::AdapterConfigJson(const std::string& base) const {
  if (!has_adapter()) return "";
  return attune::AdapterConfigJson(adapters_.chosen()->config(), config_, base);
}

NamedTensors Transformer::AdapterTensors(NamedTensors parameters) const {
  if (!config_.tied_embeddings) return parameters;
  const std::string embedding = LoraTensorName(config_.names.embedding, "weight");
  const auto found =
      std::ranges::find(parameters, embedding, [](const auto& p) { return p.first; });
  if (found == parameters.end()) return parameters;
  const at::Tensor weight = found->second;
  parameters.emplace_back(LoraTensorName(config_.names.head, "weight"), weight);
  return parameters;
}

std::shared_ptr<ForwardContext> Transformer::MakeContext(const std::vector<int64_t>& offsets,
                                                         const at::Tensor& positions,
                                                         const std::vector<int64_t>& pasts) {
  auto context = std::make_shared<ForwardContext>();
  context->spans = {offsets, device_};
  for (RopeTable& rope : ropes_) context->ropes.push_back(rope.Rows(offsets, pasts, positions));
  return context;
}

namespace {

std::vector<kernels::RowPlace> Places(const PackedBatch& batch) {
  TORCH_CHECK(batch.examples.size() + 1 == batch.offsets.size(),
              "dropout needs the number of every example of a packed batch");
  std::vector<kernels::RowPlace> places;
  places.reserve(static_cast<size_t>(batch.offsets.back()));
  for (size_t e = 0; e < batch.examples.size(); ++e) {
    const auto length = static_cast<uint32_t>(batch.offsets[e + 1] - batch.offsets[e]);
    for (uint32_t i = 0; i < length; ++i) places.push_back({batch.examples[e], i});
  }
  return places;
}

}  // namespace

std::shared_ptr<ForwardContext> Transformer::MakeContext(const PackedBatch& batch) {
  TORCH_CHECK(batch.offsets.size() >= 2 && batch.offsets.front() == 0 &&
                  batch.offsets.back() == batch.tokens.size(0),
              "the offsets of a packed batch must go from 0 to its token count");
  std::shared_ptr<ForwardContext> context =
      MakeContext(OffsetsBehindPrompt(batch.offsets, prompt_rows()),
                  PromptedPositions(batch.positions, batch.offsets));
  const Adapter* adapter = adapters_.seen();
  if (training_ && adapter != nullptr && adapter->dropout() > 0) {
    context->places.emplace(Places(batch), device_);
  }
  context->seed = dropout_seed_;
  context->checkpointed_layers = checkpointed_layers_;
  return context;
}

at::Tensor Transformer::Prompted(const at::Tensor& x, const std::vector<int64_t>& offsets) const {
  return prompt_.defined() ? BehindPrompt(prompt_, x, offsets) : x;
}

at::Tensor Transformer::PromptedPositions(const at::Tensor& positions,
                                          const std::vector<int64_t>& offsets) const {
  if (!prompt_.defined()) return positions;
  const int64_t rows = prompt_rows();
  return BehindPrompt(at::arange(rows, positions.options()), positions + rows, offsets);
}

at::Tensor Transformer::Hidden(const PackedBatch& batch,
                               const std::shared_ptr<TiedGradient>& tied) {
  TORCH_CHECK(!config_.encoder, config_.architecture, " has two stacks of layers");
  const SharedContext context = MakeContext(batch);
  at::Tensor x = Prompted(Embedded(batch.tokens, tied), batch.offsets);
  x = Inputs(x, PromptedPositions(batch.positions, batch.offsets));
  for (const Block& layer : layers_) x = layer.Forward(x, context);
  return prompt_.defined() ? WithoutPrompt(x, prompt_rows(), batch.offsets) : x;
}

at::Tensor Transformer::Embedded(const at::Tensor& tokens,
                                 const std::shared_ptr<TiedGradient>& tied) const {
  return Embed(tokens, {embed_, config_.embedding_scale, config_.padding_token}, dtype_, tied);
}

at::Tensor Transformer::Inputs(at::Tensor x, const at::Tensor& positions) const {
  if (token_types_.defined()) {
    const at::Tensor types = at::zeros({x.size(0)}, x.options().dtype(at::kLong));
    x = x + Embed(types, {token_types_, 1, std::nullopt}, dtype_, nullptr);
  }
  if (positions_.defined()) {
    x = x + Embed(positions, {positions_, 1, std::nullopt}, dtype_, nullptr);
  }
  return embedding_norm_ ? Normalize(x, embedding_norm_) : x;
}

at::Tensor Transformer::Transformed(const at::Tensor& rows) const {
  if (config_.head != HeadKind::kMaskedToken) return rows;
  const PlacedProjection transform{transform_, std::make_shared<ForwardContext>(), 0};
  return Activated(Linear(rows, transform), config_.activation);
}

at::Tensor Transformer::Normalized(const at::Tensor& rows) const {
  const at::Tensor transformed = Transformed(rows);
  if (!norm_) return transformed;
  const at::Tensor normalized = norm_.Forward(transformed);
  return config_.head_scale == 1 ? normalized : normalized * config_.head_scale;
}

at::Tensor Transformer::LogitsOf(const at::Tensor& normalized) const {
  return LogitsOf(normalized, head().detach().to(dtype_));
}

at::Tensor Transformer::LogitsOf(const at::Tensor& normalized, const at::Tensor& weight) const {
  at::Tensor logits = kernels::MatMul(normalized, weight.t()).to(at::kFloat);
  if (head_bias_.defined()) logits.add_(head_bias_.detach());
  return kernels::CapLogits(logits, config_.logit_softcap);
}

std::shared_ptr<TiedGradient> Transformer::ShareTied() const {
  const bool shared = config_.tied_embeddings && embed_.requires_grad();
  return shared ? std::make_shared<TiedGradient>() : nullptr;
}

OutputHead Transformer::output() const {
  return {norm_, head(), head_bias_, config_.logit_softcap, config_.head_scale};
}

at::Tensor Transformer::HeadLoss(const PackedBatch& batch, const at::Tensor& x,
                                 const std::shared_ptr<TiedGradient>& tied,
                                 const at::Tensor& weights) {
  TORCH_CHECK(predicts_tokens(), config_.architecture,
              " has no head for tokens, so there is no loss to take");
  if (config_.head == HeadKind::kNextToken) return HeadLossSum(x, output(), batch, tied, weights);
  // Of the target rows alone, which are all that the transform is for.
  PackedBatch rows = batch;
  rows.target_rows = at::arange(batch.target_rows.size(0), batch.target_rows.options());
  return HeadLossSum(Transformed(x.index_select(0, batch.target_rows)), output(), rows, tied,
                     weights);
}

at::Tensor Transformer::LossSum(const PackedBatch& batch) {
  const std::shared_ptr<TiedGradient> tied = ShareTied();
  return HeadLoss(batch, Hidden(batch, tied), tied, {});
}

at::Tensor Transformer::WeightedLossSum(const PackedBatch& batch, const Weigh& weigh) {
  const std::shared_ptr<TiedGradient> tied = ShareTied();
  const at::Tensor x = Hidden(batch, tied);
  return HeadLoss(batch, x, tied, weigh(TargetLosses(batch, x.detach())));
}

at::Tensor Transformer::LabelLogits(const PackedBatch& batch) {
  TORCH_CHECK(config_.head == HeadKind::kLabels, config_.architecture, " has no head for labels");
  // The first row of an encoder, which sees all; the last of a decoder.
  const std::vector<int64_t>& offsets = batch.offsets;
  std::vector<int64_t> rows(offsets.begin(), offsets.end() - 1);
  for (size_t e = 0; config_.causal && e < rows.size(); ++e) rows[e] = offsets[e + 1] - 1;
  const at::Tensor index = at::tensor(rows, at::kLong).to(device_);
  at::Tensor x = Hidden(batch, nullptr).index_select(0, index);
  if (norm_) x = Normalize(x, norm_);
  if (!config_.names.pooler.empty()) {
    x = at::tanh(Linear(x, {pooler_, std::make_shared<ForwardContext>(), 0}));
  }
  const at::Tensor bias = head_bias_.defined() ? head_bias_.to(dtype_) : at::Tensor();
  return at::linear(x, head_.to(dtype_), bias).to(at::kFloat);
}

at::Tensor Transformer::MeanHidden(const PackedBatch& batch) {
  at::Tensor x = Hidden(batch, nullptr);
  // That of a masked token's head is behind its transformation.
  if (config_.head != HeadKind::kMaskedToken && norm_) x = Normalize(x, norm_);
  std::vector<at::Tensor> means;
  for (size_t e = 0; e + 1 < batch.offsets.size(); ++e) {
    const int64_t begin = batch.offsets[e], length = batch.offsets[e + 1] - begin;
    means.push_back(x.narrow(0, begin, length).mean(0, /*keepdim=*/false, at::kFloat));
  }
  return at::stack(means);
}

at::Tensor Transformer::Logits(const PackedBatch& batch, const at::Tensor& rows) {
  at::NoGradGuard no_grad;
  return LogitsOf(Normalized(Hidden(batch, nullptr).index_select(0, rows)));
}

}  // namespace attune::engine
