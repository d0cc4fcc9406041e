#pragma once

// The model families: each has a file here, which says what of a config.json it reads and how its
// parts are put together and named. docs/families.md says how to add one.

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "common/model/fields.h"
#include "common/model/model_config.h"

namespace attune {

struct Family {
  std::string model_type;
  std::string architecture;
  // Fills the description; what is wrong is told to `fields` or returned.
  Status (*describe)(FieldReader& fields, ModelConfig* config);
  // A decoder's, that labels texts: what is described is the decoder.
  bool classifier = false;
};

std::span<const Family> LlamaFamilies();  // Llama, Mistral
std::span<const Family> QwenFamilies();
std::span<const Family> GemmaFamilies();
std::span<const Family> PhiFamilies();
std::span<const Family> Gpt2Families();
std::span<const Family> BertFamilies();
std::span<const Family> T5Families();

// Shared by families.

struct Defaults {
  int64_t vocabulary = 32000, hidden = 4096, intermediate = 11008, layers = 32, heads = 32;
  std::optional<int64_t> kv_heads, head_dim;  // else as many as heads, else hidden / heads
  int64_t positions = 2048;
  double eps = 1e-6;
  bool tied = false;
  std::optional<int64_t> padding_token;
};
// vocab_size, hidden_size, ... and the names of Llama's parameters.
void ReadLlamaLayout(FieldReader& fields, const Defaults& defaults, ModelConfig* config);
// Without grouped heads: as many of keys as of queries, which divide the hidden size. heads_key and
// hidden_key: what the family calls them.
void SetEqualHeads(FieldReader& fields, const char* heads_key, const char* hidden_key,
                   ModelConfig* config);
// pad_token_id. null: none. One outside the vocabulary marks nothing.
std::optional<int64_t> ReadPaddingToken(FieldReader& fields, std::optional<int64_t> otherwise);
// One rope for all layers. partial: whether a part of a head may be rotated.
Status ReadRope(FieldReader& fields, double theta, bool partial, ModelConfig* config);
// hidden_act or what the family calls it.
void ReadActivation(FieldReader& fields, const char* key, const char* otherwise,
                    ModelConfig* config);
void SetActivation(FieldReader& fields, const char* key, const std::string& name,
                   ModelConfig* config);
// Training with dropout in the base is not supported, and files of families that have none by
// default are refused when they ask for it. (GPT-2 and BERT have some, which is not applied.)
void RefuseDropout(FieldReader& fields, std::initializer_list<const char*> keys);
// "full_attention" and "sliding_attention" of layer_types, or sliding(i) where there are none.
void ReadWindows(FieldReader& fields, int64_t window, const std::function<bool(int64_t)>& sliding,
                 ModelConfig* config);

}  // namespace attune
