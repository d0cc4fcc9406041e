#pragma once

namespace attune {

// What lies beside a model's weights and belongs to it, wherever it is copied. A README speaks of
// this very model, so it does not go to what is made of it; the others do.
inline constexpr const char* kSideFiles[] = {
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "chat_template.jinja",
    "chat_template.json",
    "LICENSE",
    "LICENSE.md",
    "LICENSE.txt",
    "NOTICE",
    "NOTICE.md",
    "NOTICE.txt",
    "USE_POLICY.md",
};
inline constexpr char kReadme[] = "README.md";
// Of them what sentence-transformers reads of a model of embeddings.
inline constexpr const char* kEmbeddingFiles[] = {"modules.json", "sentence_bert_config.json",
                                                  "config_sentence_transformers.json"};

}  // namespace attune
