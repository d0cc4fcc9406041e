#pragma once

// What a config.json says of a model, as a description of the parts that it is made of: the engine
// builds a model of it, import and export check tensors against it. What differs between families
// is said here once (families/, a file each); no other code asks what family a model is of.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/model/rope_config.h"

namespace attune {

enum class NormKind {
  kRms,         // weight * x / rms(x)
  kRmsPlusOne,  // (1 + weight) * x / rms(x), as Gemma has it
  kLayer,       // weight * (x - mean) / std + bias
};

enum class Activation { kSilu, kGelu, kGeluTanh, kRelu };

// What a model makes of its last hidden states.
enum class HeadKind {
  kNextToken,    // of each row the token that follows: a decoder
  kMaskedToken,  // of each row its own token, where that was masked: BERT's pretraining
  kAnswer,       // of a source an answer, token after token: an encoder-decoder
  kLabels,       // of each example one of some labels: a classifier
  kNone,         // nothing: an encoder, of which the hidden states are wanted
};

// What the parameters are called in Hugging Face checkpoints. "" is a part that the family lacks.
struct ModelNames {
  std::string embedding;                      // "model.embed_tokens"
  std::vector<std::string> embedding_copies;  // what else a file may hold the same under
  std::string positions;                      // of learned positions
  std::string token_types, embedding_norm;
  std::string norm;  // after the last layer
  // A linear layer and tanh of an encoder's first row; kept but not used where there is no head.
  std::string pooler;
  // Of masked tokens: a linear layer and a norm before the output projection.
  std::string transform, transform_norm;
  std::string head;  // the output projection, unless it is tied
  std::string head_bias;
  std::string layer;  // "model.layers.", before a layer's number
  // Within a layer. A list of one is one tensor with all of it, queries or gate first.
  std::vector<std::string> qkv;  // queries, keys, values
  std::string attention_out;
  std::vector<std::string> mlp_in;  // gate and up, where there is a gate
  std::string mlp_out;
  std::string attention_norm, mlp_norm;              // before each half
  std::string attention_after_norm, mlp_after_norm;  // of each half's output, before it is added
  std::string query_norm, key_norm;                  // of each head
  // Attention to what an encoder made of the source, between the two halves.
  std::string cross_query, cross_out, cross_norm;
  std::vector<std::string> cross_key_value;
  std::string distance_bias;         // of scores, in the first layer alone
  std::vector<std::string> ignored;  // beginnings of what a file may hold beside the model
};

// Scores of attention get a bias that each head learns for how far a key is from a query: one for
// each of so many ranges of distances, which widen up to `farthest` (transformers'
// T5Attention._relative_position_bucket). 0 buckets: none.
struct DistanceBuckets {
  int64_t buckets = 0, farthest = 0;
};

struct ModelConfig {
  std::string family;        // model_type: "llama"
  std::string architecture;  // "LlamaForCausalLM"
  ModelNames names;

  int64_t vocabulary_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t layers = 0;
  int64_t heads = 0, kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;

  HeadKind head = HeadKind::kNextToken;
  std::vector<std::string> labels;  // of a classifier, in the order of its outputs
  double initializer_range = 0.02;  // deviation of a new head's weights
  bool causal = true;               // a row sees what comes before it; else all of its example
  bool post_norm = false;           // each half is normalised after it was added, not before it
  int64_t token_types = 0;          // all tokens are of type 0
  NormKind norm = NormKind::kRms;
  double norm_eps = 1e-6;
  bool tied_embeddings = false;
  // transformers takes no gradient by the embedding of this token where it comes in.
  std::optional<int64_t> padding_token;
  double embedding_scale = 1;  // rounded to the type of the computation
  double head_scale = 1;       // of what the output projection reads
  double logit_softcap = 0;    // cap * tanh(logits / cap); 0: none

  double attention_scale = 0;     // of the products of queries and keys
  double attention_softcap = 0;   // of the scaled products; 0: none
  std::vector<int64_t> windows;   // [layers]: how far back it sees, itself too; 0: all
  std::vector<RopeConfig> ropes;  // none: learned positions
  std::vector<size_t> rope_of;    // [layers]: which of them
  DistanceBuckets distances;      // in place of ropes and of learned positions
  bool qkv_bias = false, attention_out_bias = false, mlp_bias = false;

  bool gated = true;  // activation(gate(x)) * up(x); else activation(up(x))
  Activation activation = Activation::kSilu;
  bool transposed_linears = false;  // weights are stored [in, out], as GPT-2's Conv1D has them

  // Of an encoder-decoder, which this is the decoder of: what reads the source, a model without a
  // head that shares the embedding. Null: there is none.
  std::shared_ptr<const ModelConfig> encoder;
  int64_t start_token = 0;  // what the decoder reads before an answer's first token

  std::string json;  // what transformers loads, as it was read

  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
  bool learned_positions() const { return ropes.empty() && distances.buckets == 0; }
  // Of the output projection.
  int64_t outputs() const {
    return head == HeadKind::kLabels ? static_cast<int64_t>(labels.size()) : vocabulary_size;
  }
};

// Missing fields have transformers' defaults. kInvalidArgument names the field: unknown
// architecture, activation or RoPE type (with the supported ones), sizes that do not fit each other
// or are unreasonable.
Result<ModelConfig> ParseModelConfig(const std::string& json, const std::string& where);

// The classifier with these labels that is made of a model: its architecture's name, and a head
// that its files lack. kInvalidArgument when the family has none.
Result<ModelConfig> AsClassifier(const ModelConfig& config, const std::vector<std::string>& labels);

// kInvalidArgument for a model that does not predict the next token of a text or an answer, which
// is what jobs train, evaluate and generate with.
Status CheckPredictsNext(const ModelConfig& config, const std::string& model);

// config.json to be written beside weights of this dtype ("float32", "bfloat16" or "float16").
std::string ConfigJson(const ModelConfig& config, const std::string& dtype);

}  // namespace attune
