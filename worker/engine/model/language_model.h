#pragma once

// A language model under its Hugging Face parameter names, which sees padding-free packed batches.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "worker/engine/adapters/named_tensors.h"
#include "worker/engine/engine.h"

namespace attune::engine {

// Examples laid end to end, no padding. T tokens, E examples, N targets.
struct PackedBatch {
  at::Tensor tokens;     // int64 [T]
  at::Tensor positions;  // int64 [T], from 0 in each example
  std::vector<int64_t>
      offsets;  // [E + 1]: example e is rows offsets[e] .. offsets[e + 1]; attention stays in it
  // [E], of an encoder-decoder: how many of each example's tokens are its source. The others are
  // its answer, every one of which is a target; target_rows is not used then.
  std::vector<int64_t> sources;
  std::vector<uint32_t> examples;  // [E]: their numbers in the dataset, which dropout follows
  at::Tensor target_rows;          // int64 [N]: rows of which a token is to be predicted
  at::Tensor targets;  // int64 [N]: those tokens: the next ones, or of masked rows their own
};

// What a model makes of a batch.
struct Measurement {
  // Undefined for an encoder without a head.
  at::Tensor losses;  // float32 [N]: negative log likelihood of each target
  // Of an encoder-decoder's row, a token of the source or of the answer: the encoder's, or the
  // decoder's that is to predict that token. Its entropy is 0 where nothing of an answer follows.
  at::Tensor entropies;  // float32 [T]: of what may follow each row, in nats
  at::Tensor hidden;     // [T, H]: after the final norm
};

struct LoadOptions {
  std::string precision = "float32";  // or "bfloat16": computation; master weights stay float32
  std::string device = "cpu";
  bool activation_checkpointing = false;
  int checkpointed_layers = 0;  // only the first so many of each stack; 0: all
  // The base will not train: its weights are kept in the type of the computation, and converted
  // while they are read.
  bool frozen = false;
  // The linear layers of the blocks are kept in 4 bits (kernels::Nf4); frozen, too.
  bool nf4 = false;
  bool encoders = false;  // also models that predict no next token (CheckPredictsNext)
  // A classifier with these labels: with a head of its own where the model has another, or none.
  std::vector<std::string> labels;
  uint64_t seed = 1;  // of what is new
};

class LanguageModel {
 public:
  // Config, weights, and the adapter of a peft-adapter (on its base). Every tensor of the
  // architecture must be there with its shape, and no unknown one; the error names it.
  static Result<std::unique_ptr<LanguageModel>> Load(const ModelFiles& files,
                                                     const LoadOptions& options);
  LanguageModel() = default;
  LanguageModel(const LanguageModel&) = delete;  // graphs point into it
  LanguageModel& operator=(const LanguageModel&) = delete;
  virtual ~LanguageModel() = default;

  // Freezes the base and adds LoRA: A by Kaiming uniform from seed (as peft), B zero. Wrong target
  // modules are an error with the nearest names.
  virtual Status AddLora(const Method& method, uint64_t seed) = 0;
  // Freezes the base and adds a prompt: rows before each example in place of embedded tokens, which
  // start as those of these tokens, over again where they are fewer, or where there are none of
  // tokens that are drawn by the seed. A model with an adapter goes on from it, as by AddLora.
  virtual Status AddPrompt(const Method& method, const std::vector<uint32_t>& start,
                           uint64_t seed) = 0;
  // Another adapter of the base, under a name; the model is seen with it from now on. What AddLora,
  // AddPrompt or Load added is called "default". They share the base, of which nothing is copied,
  // and know nothing of each other.
  virtual Status AddAdapter(const std::string& name, const ModelFiles& files) = 0;
  // The model is seen with the adapter of this name from now on, "": with none, as its base.
  // kNotFound names those that there are.
  virtual Status UseAdapter(const std::string& name) = 0;
  // The adapter that was used last, or none.
  virtual void EnableAdapter(bool enabled) = 0;
  // Only training has dropout. What is dropped follows from dropout_seed, the example's number, the
  // position in it, the feature and the module: not from what else is in a batch. Called whenever
  // parameters have changed, too: what is made of them is made again.
  virtual void SetTraining(bool training, uint64_t dropout_seed) = 0;

  // Sum over the targets of the negative log likelihood: float32 scalar, differentiable. Logits
  // exist only for target rows, a chunk at a time. The model must outlive the graph.
  virtual at::Tensor LossSum(const PackedBatch& batch) = 0;
  // The same with a weight for each target, which follows from the losses of all of them, float32
  // [N] both.
  using Weigh = std::function<at::Tensor(const at::Tensor& losses)>;
  virtual at::Tensor WeightedLossSum(const PackedBatch& batch, const Weigh& weigh) = 0;
  // Of a classifier, float32 [E, labels]; differentiable.
  virtual at::Tensor LabelLogits(const PackedBatch& batch) = 0;
  // The mean of each example's hidden states, as embeddings are made of, float32 [E, H];
  // differentiable.
  virtual at::Tensor MeanHidden(const PackedBatch& batch) = 0;
  // float32 [rows, vocabulary] at the given rows, of an encoder-decoder at the rows before an
  // answer's tokens; no gradient. For parity tests and evaluation.
  virtual at::Tensor Logits(const PackedBatch& batch, const at::Tensor& rows) = 0;

  // No gradient; logits a chunk at a time. Entropies and hidden are undefined unless every_row.
  virtual Measurement Measure(const PackedBatch& batch, bool every_row) = 0;

  // Parameters that train, in a fixed order: all under Hugging Face names for full fine-tuning, the
  // parameters of the adapter that was used last under peft's names
  // ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight") where there is one.
  virtual NamedTensors TrainableParameters() const = 0;
  // All base parameters under Hugging Face names (tied ones once), as they are kept.
  virtual NamedTensors BaseParameters() const = 0;
  virtual bool has_adapter() const = 0;
  virtual bool predicts_next() const = 0;  // see CheckPredictsNext
  virtual bool reads_sources() const = 0;  // an encoder-decoder; see PackedBatch
  virtual const std::vector<std::string>& labels() const = 0;  // of a classifier; else none
  // config.json of the model beside weights of this dtype, and adapter_config.json of its adapter
  // on what peft calls its base, as transformers and peft expect them.
  virtual std::string ConfigJson(const std::string& dtype) const = 0;
  virtual std::string AdapterConfigJson(const std::string& base) const = 0;
  // What the adapter's file holds of its parameters: where the embedding is one and the head is
  // tied to it, the head too, without which peft does not read it.
  virtual NamedTensors AdapterTensors(NamedTensors parameters) const = 0;
  virtual int64_t vocabulary_size() const = 0;
  virtual int64_t max_positions() const = 0;  // for tokens: without those of a prompt
  virtual int64_t hidden_size() const = 0;

  struct GenerateOptions {
    int max_tokens = 128;
    double temperature = 0;
    int top_k = 0;  // 0: all
    double top_p = 1;
    uint64_t seed = 1;
    std::vector<uint32_t> end_ids;
    int batch = 1;  // prompts that are answered at a time
  };
  struct GeneratePrompt {
    std::vector<uint32_t> tokens;
    int max_tokens = 128;  // of the answer
  };
  // What is told of answers, by the number of their prompt.
  struct AnswerListener {
    std::function<bool(size_t prompt, uint32_t token)> on_token;  // false: the answer ends here
    std::function<bool(size_t prompt)> on_end;  // once for each; false: no more is generated
  };
  // Each answer has a key-value cache, and random numbers of its own from the seed. It ends at an
  // end id (not told), at its max_tokens, or as the listener wants; then the next prompt takes its
  // place in the batch. What else is in the batch changes nothing but the last bits of its logits.
  virtual Status GenerateAll(std::span<const GeneratePrompt> prompts,
                             const GenerateOptions& options, const AnswerListener& listener) = 0;
  // Of one prompt, of options.max_tokens; on_token as the listener's.
  Status Generate(const std::vector<uint32_t>& prompt, const GenerateOptions& options,
                  const std::function<bool(uint32_t)>& on_token);
};

}  // namespace attune::engine
