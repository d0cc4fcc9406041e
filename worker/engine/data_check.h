#pragma once

// What is known of a job's data before anything is trained: what `attune dataset check` shows.

#include <cstdint>
#include <string>
#include <vector>

namespace attune::engine {

struct LengthBin {
  int64_t from = 0, to = 0;  // tokens, both included
  int64_t examples = 0;      // of an epoch
};

struct MaskedText {
  std::string text;
  bool learned = false;
};
struct MaskedExample {
  std::string id;                  // 32 hexadecimal digits
  std::vector<MaskedText> pieces;  // all that the model reads of it, in order
};

// Of what an epoch trains on. The end of an example is looked for where it was surely not cut: in
// those shorter than the sequence length, and at most in the first million.
struct DataCheck {
  int64_t whole = 0;                    // examples that are not cut
  int64_t ends_learned = 0;             // of them: those that teach the model to stop
  int64_t leaked = 0;                   // distinct examples that validation has, too
  std::vector<std::string> leaked_ids;  // the first few
  // Of the first rows of each data set with a question and an answer: those where the tokens that
  // the model is given to answer are not those that its answer followed in training.
  int64_t compared = 0, served_otherwise = 0;
  std::vector<LengthBin> lengths;
  int64_t step_tokens_min = 0, step_tokens_median = 0, step_tokens_max = 0;
  std::vector<MaskedExample> samples;
  std::vector<std::string> problems;  // each refuses a job
  std::vector<std::string> warnings;
};

}  // namespace attune::engine
