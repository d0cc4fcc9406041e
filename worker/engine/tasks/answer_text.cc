#include "worker/engine/tasks/answer_text.h"

#include <algorithm>
#include <string_view>

namespace attune::engine {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // of bytes that are no whole character

}  // namespace

Result<std::string> AnswerText::Decode(size_t begin, size_t end) const {
  const auto first = tokens_.begin();
  return tokenizer_->Decode(
      {first + static_cast<int64_t>(begin), first + static_cast<int64_t>(end)},
      /*skip_special=*/true);
}

Status AnswerText::Read() {
  ATTUNE_ASSIGN_OR_RETURN(const std::string before, Decode(context_, read_));
  ATTUNE_ASSIGN_OR_RETURN(const std::string with, Decode(context_, tokens_.size()));
  if (with.size() <= before.size() || with.ends_with(kReplacement)) return Status();
  text_ += with.substr(before.size());
  context_ = read_;
  read_ = tokens_.size();
  return Status();
}

Result<bool> AnswerText::Add(uint32_t token) {
  tokens_.push_back(token);
  const size_t old = text_.size();
  ATTUNE_RETURN_IF_ERROR(Read());
  size_t end = std::string::npos;
  for (const std::string& stop : *stop_) {
    end = std::min(end, text_.find(stop, old - std::min(old, stop.size() - 1)));
  }
  if (end == std::string::npos) return true;
  text_.resize(end);
  stopped_ = true;
  return false;
}

size_t AnswerText::Safe() const {
  if (stopped_) return text_.size();
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

Result<std::string> AnswerText::Whole() const {
  if (stopped_) return text_;
  return Decode(0, tokens_.size());
}

Result<std::string> AnswerText::TakeRest() {
  ATTUNE_ASSIGN_OR_RETURN(const std::string whole, Whole());
  const size_t shown = std::min(shown_, whole.size());
  shown_ = whole.size();
  return whole.substr(shown);
}

}  // namespace attune::engine
