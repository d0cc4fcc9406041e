#pragma once

// Which tensors a model, or an adapter on it, has: names as in Hugging Face checkpoints, and
// shapes as torch has them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/model/lora_config.h"
#include "common/model/model_config.h"
#include "common/model/prompt_config.h"

namespace attune {

struct TensorInfo {
  std::string dtype;           // as stored: "F32", "F16", "BF16", "Q4_1", ...
  std::vector<int64_t> shape;  // row-major, as torch has it
  int64_t elements() const;
  int64_t rows() const { return shape.size() < 2 ? 1 : shape[0]; }
};
using TensorInfos = std::map<std::string, TensorInfo>;

// A shape for messages: "[2, 3]".
std::string ShapeText(const std::vector<int64_t>& shape);

// The projections of a layer: what reads the normalised input of attention, what attention's output
// goes through, and the same of the MLP. Of a decoder that attends to an encoder's rows also: its
// queries, the keys and values of those rows, and what goes out of it.
enum class ProjectionKind {
  kQkv,
  kAttentionOut,
  kMlpIn,
  kMlpOut,
  kCrossQuery,
  kCrossKeyValue,
  kCrossOut
};
bool IsOfAttention(ProjectionKind kind);

// A linear layer of a block, as checkpoints have it.
struct LinearInfo {
  std::string name;  // "model.layers.0.self_attn.q_proj"
  int64_t out = 0, in = 0;
  bool bias = false;
  ProjectionKind kind = ProjectionKind::kQkv;
};
// Of each projection of a layer its linear layers, in the order of the model.
std::vector<LinearInfo> LinearsOf(const ModelConfig& config, int64_t layer, ProjectionKind kind);
// Of all its projections.
std::vector<LinearInfo> LinearsOf(const ModelConfig& config, int64_t layer);
// Of all layers, an encoder's first: those that can have an adapter.
std::vector<LinearInfo> LinearsOf(const ModelConfig& config);

// The parameters' names; a tied output projection is not one.
std::vector<std::string> TensorNames(const ModelConfig& config);

// Of the whole model, tied ones once.
int64_t CountParameters(const ModelConfig& config);

// The narrowest of float32, bfloat16 and float16 that a copy of the tensors needs: what all
// matrices are stored in, else float32. (In GGUF files of 16 bits the norms are float32, made from
// 16 bits.)
std::string DtypeOf(const TensorInfos& tensors);

// What a file calls each of its tensors, by the parameter's full name: some files of GPT-2 and
// others hold the bare model, whose names lack their first part ("wte.weight"). What is no
// parameter (rotary frequencies, masks) is left out; a tied output projection may be the embedding.
std::map<std::string, std::string> StoredNames(const ModelConfig& config, const TensorInfos& found);

// found: by full names. kInvalidArgument names a tensor that is missing, has another shape than the
// configuration wants, a type that cannot be read as weights, or no place in the configuration.
// `where` is the file or folder, for messages.
Status CheckModelTensors(const ModelConfig& config, const TensorInfos& found,
                         const std::string& where);
// found without the head of a classifier, and what of its tensors is missing then, with shapes: a
// head that is new. The pooler of an encoder may be missing, too.
std::map<std::string, std::vector<int64_t>> NewHeadTensors(const ModelConfig& config,
                                                           TensorInfos* found);
// CheckModelTensors for an adapter's tensors, under their peft names.
Status CheckLoraTensors(const ModelConfig& config, const LoraConfig& lora, const TensorInfos& found,
                        const std::string& where);
Status CheckPromptTensors(const ModelConfig& config, const PromptConfig& prompt,
                          const TensorInfos& found, const std::string& where);

}  // namespace attune
