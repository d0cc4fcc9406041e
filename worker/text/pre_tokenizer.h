#pragma once

// How a byte-level BPE vocabulary splits text before it merges, by llama.cpp's name of it
// (tokenizer.ggml.pre). Private to this folder.

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace attune::text {

struct PreTokenizer {
  std::string json;              // "pre_tokenizer" of a tokenizer.json
  std::string normalizer_json;   // "normalizer" of it, or "null"
  bool ignore_merges = false;    // a word that is a token is taken whole
  bool add_bos_default = false;  // when the file does not say
};

// kInvalidArgument for a name that is not known: a guess would give other ids without a sign of it.
Result<PreTokenizer> FindPreTokenizer(std::string_view name);

}  // namespace attune::text
