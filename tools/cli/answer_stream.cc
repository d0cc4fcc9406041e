#include "tools/cli/answer_stream.h"

#include <utility>

#include "tools/cli/format.h"

namespace attune::cli {

AnswerStream::AnswerStream(Session* session, std::vector<std::string> asked)
    : session_(session), asked_(std::move(asked)), answers_(asked_.size()) {
  ShowAsked();
}

void AnswerStream::Take(const v1::OutputChunk& chunk) {
  if (chunk.generation() != generation_) {  // the job has started again
    generation_ = chunk.generation();
    partial_.clear();
    whole_ = 0;
    for (size_t i = current_; i < answers_.size(); ++i) answers_[i] = {};
  }
  offset_ = chunk.offset() + chunk.data().size();
  partial_ += chunk.data();
  size_t start = 0;
  for (size_t end; (end = partial_.find('\n', start)) != std::string::npos; start = end + 1) {
    TakeLine(std::string_view(partial_).substr(start, end - start));
  }
  partial_.erase(0, start);
  session_->printer().out().flush();
}

void AnswerStream::GoOn(v1::ReadOutputRequest* request) const {
  request->set_offset(offset_);
  request->set_generation(generation_);
}

void AnswerStream::TakeLine(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  const bool piece = json.contains("piece");
  const size_t prompt = piece ? json.value("prompt_index", answers_.size()) : whole_++;
  if (prompt < current_ || prompt >= answers_.size()) return;
  Answer& answer = answers_[prompt];
  if (piece) {
    answer.text += json.value("piece", "");
  } else {
    answer = {json.value("text", ""), true};
  }
  ShowCurrent();
}

void AnswerStream::ShowCurrent() {
  while (current_ < answers_.size()) {
    const auto& [text, whole] = answers_[current_];
    std::ostream& out = session_->printer().out();
    if (text.starts_with(shown_)) {
      out << std::string_view(text).substr(shown_.size());
      shown_ = text;
    } else if (whole || !std::string_view(shown_).starts_with(text)) {
      out << "\n" << text;  // it was answered again, and otherwise
      shown_ = text;
    }
    in_line_ = in_line_ || !shown_.empty();
    if (!whole) return;
    out << "\n";
    in_line_ = false;
    shown_.clear();
    ++current_;
    ShowAsked();
  }
}

void AnswerStream::ShowAsked() {
  if (asked_.size() < 2 || current_ >= asked_.size()) return;
  session_->printer().out() << (current_ > 0 ? "\n" : "")
                            << Paint("> " + asked_[current_], Style::kDim,
                                     session_->printer().color())
                            << "\n";
}

void AnswerStream::End() {
  if (in_line_) session_->printer().out() << std::endl;
  in_line_ = false;
}

}  // namespace attune::cli
