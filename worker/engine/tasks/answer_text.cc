#include "worker/engine/tasks/answer_text.h"

#include <algorithm>
#include <string_view>

namespace attune::engine {
namespace {

// Of which no whole character comes: a character has 4 bytes, a token one or more.
constexpr size_t kUndecidedMost = 8;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // of bytes that are no whole character

}  // namespace

Result<std::string> AnswerText::Decode(size_t begin, size_t end) const {
  const auto first = tokens_.begin();
  return tokenizer_->Decode(
      {first + static_cast<int64_t>(begin), first + static_cast<int64_t>(end)},
      /*skip_special=*/true);
}

Status AnswerText::Read(bool last) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string before, Decode(context_, read_));
  ATTUNE_ASSIGN_OR_RETURN(const std::string with, Decode(context_, tokens_.size()));
  const bool whole = !with.ends_with(kReplacement) || tokens_.size() - read_ >= kUndecidedMost;
  if (!whole && !last) return Status();
  if (with.size() > before.size()) text_ += with.substr(before.size());
  context_ = read_;
  read_ = tokens_.size();
  return Status();
}

void AnswerText::FindStop(size_t from) {
  size_t end = std::string::npos;
  for (const std::string& stop : *stop_) {
    end = std::min(end, text_.find(stop, from - std::min(from, stop.size() - 1)));
  }
  if (end == std::string::npos) return;
  text_.resize(end);
  stopped_ = true;
}

Result<bool> AnswerText::Add(uint32_t token) {
  tokens_.push_back(token);
  if (!reads_) return true;
  const size_t old = text_.size();
  ATTUNE_RETURN_IF_ERROR(Read(/*last=*/false));
  FindStop(old);
  return !stopped_;
}

size_t AnswerText::Safe() const {
  if (stopped_ || ended_) return text_.size();
  size_t safe = text_.size();
  for (const std::string& stop : *stop_) {
    for (size_t length = std::min(stop.size() - 1, text_.size()); length > 0; --length) {
      if (!text_.ends_with(std::string_view(stop).substr(0, length))) continue;
      safe = std::min(safe, text_.size() - length);
      break;
    }
  }
  return safe;
}

std::string AnswerText::TakePiece() {
  const size_t safe = Safe();
  if (safe <= shown_) return "";
  std::string piece = text_.substr(shown_, safe - shown_);
  shown_ = safe;
  return piece;
}

Result<std::string> AnswerText::Finish() {
  if (!reads_) return Decode(0, tokens_.size());
  if (!stopped_ && read_ < tokens_.size()) {
    const size_t old = text_.size();
    ATTUNE_RETURN_IF_ERROR(Read(/*last=*/true));
    FindStop(old);
  }
  ended_ = true;
  return text_;
}

}  // namespace attune::engine
