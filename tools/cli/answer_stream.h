#pragma once

// Answers to prompts, shown while they are made.

#include <string>
#include <string_view>
#include <vector>

#include "attune/v1/jobs.pb.h"
#include "tools/cli/session.h"

namespace attune::cli {

// A worker answers several prompts at a time, and answers them again if it was lost: whatever
// comes, a person sees each answer once, in the order of the prompts.
class AnswerStream {
 public:
  // asked: of each prompt what a person knows it by.
  AnswerStream(Session* session, std::vector<std::string> asked);

  void Take(const v1::OutputChunk& chunk);
  // Where a reader goes on: all before it was taken.
  void GoOn(v1::ReadOutputRequest* request) const;
  // Whether every answer was shown whole.
  bool complete() const { return current_ == asked_.size(); }
  // Ends a line that was cut off.
  void End();

 private:
  struct Answer {
    std::string text;  // what has come
    bool whole = false;
  };
  void TakeLine(std::string_view line);
  void ShowCurrent();
  void ShowAsked();

  Session* const session_;
  const std::vector<std::string> asked_;
  std::vector<Answer> answers_;
  size_t whole_ = 0;    // lines of whole answers in this attempt's output
  size_t current_ = 0;  // the prompt whose answer is being shown
  std::string shown_;   // of it
  bool in_line_ = false;
  uint64_t offset_ = 0;      // of this attempt's output, behind what was taken
  uint32_t generation_ = 0;  // the attempt
  std::string partial_;      // a line without its end
};

}  // namespace attune::cli
