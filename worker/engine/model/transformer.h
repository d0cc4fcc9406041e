#pragma once

// A model as its configuration describes it, behind the LanguageModel interface.

#include <ATen/core/Tensor.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/model/adapter_config.h"
#include "common/model/model_config.h"
#include "worker/engine/adapters/lora_adapter.h"
#include "worker/engine/adapters/prompt_adapter.h"
#include "worker/engine/formats/weights.h"
#include "worker/engine/model/block.h"
#include "worker/engine/model/generate.h"
#include "worker/engine/model/language_model.h"
#include "worker/engine/model/loss.h"
#include "worker/engine/model/rope_table.h"

namespace attune::engine {

class Transformer : public LanguageModel {
 public:
  // Weights are uninitialised until LoadWeights; all of them train until AddLora, unless the
  // options say that they are frozen.
  Transformer(ModelConfig config, const LoadOptions& options);

  // kInvalidArgument names a tensor that is missing, unknown or of another shape. new_head: a
  // classifier's is not read but drawn from the seed, as transformers does.
  Status LoadWeights(const WeightSource& source, const std::string& where,
                     std::optional<uint64_t> new_head = std::nullopt);
  Status AddLora(const Method& method, uint64_t seed) override;
  Status AddPrompt(const Method& method, const std::vector<uint32_t>& start,
                   uint64_t seed) override;
  Status AddAdapter(const std::string& name, const ModelFiles& files) override;
  Status UseAdapter(const std::string& name) override { return adapters_.Use(name); }
  void EnableAdapter(bool enabled) override { adapters_.Enable(enabled); }
  void SetTraining(bool training, uint64_t dropout_seed) override;
  at::Tensor LossSum(const PackedBatch& batch) override;
  at::Tensor WeightedLossSum(const PackedBatch& batch, const Weigh& weigh) override;
  at::Tensor LabelLogits(const PackedBatch& batch) override;
  at::Tensor MeanHidden(const PackedBatch& batch) override;
  at::Tensor Logits(const PackedBatch& batch, const at::Tensor& rows) override;
  Measurement Measure(const PackedBatch& batch, bool every_row) override;
  NamedTensors TrainableParameters() const override;
  NamedTensors BaseParameters() const override;
  bool has_adapter() const override { return !adapters_.empty(); }
  bool predicts_next() const override;
  bool reads_sources() const override { return config_.encoder != nullptr; }
  bool predicts_tokens() const { return predicts_next() || config_.head == HeadKind::kMaskedToken; }
  const std::vector<std::string>& labels() const override { return config_.labels; }
  std::string ConfigJson(const std::string& dtype) const override;
  std::string AdapterConfigJson(const std::string& base) const override;
  NamedTensors AdapterTensors(NamedTensors parameters) const override;
  int64_t vocabulary_size() const override { return config_.vocabulary_size; }
  int64_t max_positions() const override { return config_.max_positions - prompt_rows(); }
  int64_t hidden_size() const override { return config_.hidden_size; }
  Status GenerateAll(std::span<const GeneratePrompt> prompts, const GenerateOptions& options,
                     const AnswerListener& listener) override;

 protected:
  // pasts: see RopeTable.
  std::shared_ptr<ForwardContext> MakeContext(const std::vector<int64_t>& offsets,
                                              const at::Tensor& positions,
                                              const std::vector<int64_t>& pasts = {});
  // The same for a batch of examples, with what training wants.
  std::shared_ptr<ForwardContext> MakeContext(const PackedBatch& batch);
  // Shared by the loss and the embedding where both train one tensor, else null.
  std::shared_ptr<TiedGradient> ShareTied() const;
  OutputHead output() const;
  // Of the last layer's rows: what norm_ is to read, and what it makes of them.
  at::Tensor Transformed(const at::Tensor& rows) const;
  at::Tensor Normalized(const at::Tensor& rows) const;
  // float32 logits of normalised rows; no gradient.
  at::Tensor LogitsOf(const at::Tensor& normalized) const;
  // Of the last layer's rows; see Measure.
  Measurement MeasureRows(const at::Tensor& x, const PackedBatch& batch, bool every_row) const;
  at::Tensor Embedded(const at::Tensor& tokens, const std::shared_ptr<TiedGradient>& tied) const;
  // Of generation: the layers that write, what an answer begins with, and what scores of sequences
  // of up to `longest` tokens get beside.
  virtual std::span<const Block> writers() const { return layers_; }
  virtual Generation Start(const GeneratePrompt& prompt);
  virtual void AddWritersBias(int64_t longest, ForwardContext* context) const {}
  std::vector<LayerCache> MakeCaches(int64_t capacity) const;

  ModelConfig config_;
  at::Device device_;
  at::ScalarType dtype_;       // of the computation
  std::vector<Block> layers_;  // an encoder's first
  Norm encoder_norm_;          // of an encoder's last rows

 private:
  // What does not belong to a layer, and is read first.
  NamedTensors OutsideLayers() const;
  // Those of it that are neither norms nor linear layers: by their names, where they are kept.
  std::vector<std::pair<std::string, at::Tensor*>> Tables();
  void TrainBase(bool trains);
  Status CheckPooler(const std::map<std::string, std::vector<int64_t>>& missing,
                     const std::string& where) const;
  // Seen without an adapter from now on, nothing of which trains; its weights are kept in the type
  // of the computation.
  void Freeze();
  // Uninitialised adapters of the frozen base.
  Result<std::unique_ptr<LoraAdapter>> MakeLora(LoraConfig config);
  std::unique_ptr<PromptAdapter> MakePrompt(const PromptConfig& config);
  Result<std::unique_ptr<Adapter>> MakeAdapter(const AdapterConfig& config);
  // Adds one under this name, which is not yet seen.
  Status ReadAdapter(const std::string& name, const AdapterConfig& config,
                     const WeightSource& source);
  Slots AllSlots();

  // What layers read of embedded rows: with learned positions.
  at::Tensor Inputs(at::Tensor x, const at::Tensor& positions) const;
  // Of the prompt that is seen; 0: none is.
  int64_t prompt_rows() const { return prompt_.defined() ? prompt_.size(0) : 0; }
  // With that prompt's rows before each example; x embedded, and positions from 0 in each example.
  at::Tensor Prompted(const at::Tensor& x, const std::vector<int64_t>& offsets) const;
  at::Tensor PromptedPositions(const at::Tensor& positions,
                               const std::vector<int64_t>& offsets) const;
  // The rows that the caches of a sequence have.
  int64_t CachedRows(const Generation& sequence) const {
    return sequence.cached == 0 ? 0 : prompt_rows() + sequence.cached;
  }
  // Of a loss with what is tied; x: Hidden.
  at::Tensor HeadLoss(const PackedBatch& batch, const at::Tensor& x,
                      const std::shared_ptr<TiedGradient>& tied, const at::Tensor& weights);
  // Negative log likelihoods of the targets of x: of Hidden; no gradient.
  at::Tensor TargetLosses(const PackedBatch& batch, const at::Tensor& x) const;
  // Of what may follow normalised rows.
  void ForLogProbabilities(const at::Tensor& rows,
                           const std::function<void(int64_t, int64_t, at::Tensor&)>& take) const;
  // LogitsOf with the head's weight in the type of the computation, for many calls.
  at::Tensor LogitsOf(const at::Tensor& normalized, const at::Tensor& weight) const;
  at::Tensor Hidden(const PackedBatch& batch, const std::shared_ptr<TiedGradient>& tied);
  const at::Tensor& head() const { return config_.tied_embeddings ? embed_ : head_; }
  // float32 [sequences, V] after the last tokens of each, on the host; they are cached then. Each
  // is new, or each has one token that is not cached.
  at::Tensor NextLogits(std::span<Generation* const> sequences);
  // A token more of an answer; false if it ends.
  bool Append(const float* logits, const GenerateOptions& options, const AnswerListener& listener,
              Generation* answer) const;
  // A token more of each; false when no more is wanted.
  bool AdvanceAll(std::list<Generation>* answers, const GenerateOptions& options,
                  const AnswerListener& listener);
  // The same of some, which are all new, or none is.
  bool Advance(std::span<Generation* const> some, const GenerateOptions& options,
               const AnswerListener& listener);

  int64_t checkpointed_layers_;  // see ForwardContext
  bool nf4_;
  std::vector<RopeTable> ropes_;
  at::Tensor embed_, head_;             // head_ is undefined when tied
  at::Tensor positions_, token_types_;  // learned ones, where it has them
  Norm embedding_norm_;
  Norm norm_;             // before the output projection; of an encoder without one none
  Projection transform_;  // of masked tokens, before norm_
  Projection pooler_;     // of an encoder's first row
  at::Tensor head_bias_;
  at::Tensor prompt_;  // float32 [P, H]: what stands before each example; may be undefined
  AdapterSet adapters_;
  bool training_ = false;
  uint64_t dropout_seed_ = 0;
};

}  // namespace attune::engine
