#pragma once

// A model of two stacks of layers: an encoder reads a source, a decoder writes an answer to it. Its
// parameters are a Transformer's, whose layers are those of both.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "worker/engine/model/transformer.h"

namespace attune::engine {

class EncoderDecoder final : public Transformer {
 public:
  using Transformer::Transformer;

  at::Tensor LossSum(const PackedBatch& batch) override;
  at::Tensor Logits(const PackedBatch& batch, const at::Tensor& rows) override;
  Measurement Measure(const PackedBatch& batch, bool every_row) override;

 protected:
  std::span<const Block> writers() const override { return decoder(); }
  // Reads the prompt, and begins an answer to it with the start token.
  Generation Start(const GeneratePrompt& prompt) override;
  void AddWritersBias(int64_t longest, ForwardContext* context) const override {
    AddBias(decoder(), config_, longest, context);
  }

 private:
  // A batch as either stack has it.
  struct Parts {
    PackedBatch sources;
    PackedBatch answers;     // tokens are what the decoder reads: each the one before its target
    at::Tensor source_rows;  // int64: where in the batch the sources' tokens are,
    at::Tensor answer_rows;  // and the answers'
  };
  Parts Split(const PackedBatch& batch) const;
  // Rows of the last layers: the encoder's normalised, the decoder's not.
  struct Rows {
    at::Tensor encoded, decoded;
  };
  Rows Run(const Parts& parts, const std::shared_ptr<TiedGradient>& tied);
  at::Tensor Encode(const at::Tensor& x, const SharedContext& context) const;

  std::span<const Block> encoder() const;
  std::span<const Block> decoder() const;
  // With the biases of the stack for examples of up to `longest` tokens.
  void AddBias(std::span<const Block> stack, const ModelConfig& config, int64_t longest,
               ForwardContext* context) const;
};

}  // namespace attune::engine
