#pragma once

// An answer's text while its tokens come: what of it can be shown already, and whether a text that
// ends it has come.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "worker/text/text.h"

namespace attune::engine {

class AnswerText {
 public:
  // All outlive it. stop: none of them empty. stream: TakePiece will be asked.
  AnswerText(const text::Tokenizer* tokenizer, const std::vector<std::string>* stop, bool stream)
      : tokenizer_(tokenizer), stop_(stop), reads_(stream || !stop->empty()) {}

  // False when a text that ends answers is there: no more tokens are wanted.
  Result<bool> Add(uint32_t token);
  // What can be shown and was not yet. Held back is what may be the beginning of a text that ends
  // the answer, or a character of which bytes are missing.
  std::string TakePiece();
  // No token comes any more: the whole answer without special tokens, up to what ended it. What of
  // it was held back is the next piece.
  Result<std::string> Finish();

  size_t tokens() const { return tokens_.size(); }
  bool stopped() const { return stopped_; }

 private:
  // Decodes what came, if it makes whole characters or nothing else comes.
  Status Read(bool last);
  // Cuts the text at the first of the texts that end it, if one begins at `from` or later.
  void FindStop(size_t from);
  Result<std::string> Decode(size_t begin, size_t end) const;
  size_t Safe() const;

  const text::Tokenizer* tokenizer_;
  const std::vector<std::string>* stop_;
  bool reads_;
  std::vector<uint32_t> tokens_;
  // text_ is that of the tokens before read_. Those from context_ on are decoded again with what
  // follows, since a token's text may depend on what is before it.
  size_t context_ = 0, read_ = 0;
  std::string text_;
  size_t shown_ = 0;
  bool stopped_ = false, ended_ = false;
};

}  // namespace attune::engine
