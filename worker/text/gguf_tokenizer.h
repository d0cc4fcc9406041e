#pragma once

// The text part of a GGUF file as the files of a Hugging Face folder. Private to this folder.

#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/gguf/gguf.h"

namespace attune::text {

// tokenizer.json, tokenizer_config.json, special_tokens_map.json, generation_config.json and, when
// the file has one, chat_template.jinja. Supported: tokenizer.ggml.model "gpt2" (byte-level BPE)
// and "llama" (SentencePiece).
Result<std::vector<std::pair<std::string, std::string>>> TextFilesFromGguf(const gguf::File& file);

}  // namespace attune::text
