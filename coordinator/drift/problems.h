#pragma once

// What is wrong with a stream, all of it in one sentence or a few.

#include <string>

#include "common/base/status.h"

namespace attune::drift {

class Problems {
 public:
  // OK is none.
  void Add(const Status& status) {
    if (status.ok()) return;
    if (first_.ok()) first_ = status;
    if (++count_ <= kShown) text_ += (text_.empty() ? "" : "; ") + status.message();
  }
  // With the code of the first.
  Status All() const {
    if (first_.ok()) return first_;
    const int more = count_ - kShown;
    return Status(first_.code(),
                  text_ + (more > 0 ? "; and " + std::to_string(more) + " more" : std::string()));
  }

 private:
  static constexpr int kShown = 5;
  Status first_;
  int count_ = 0;
  std::string text_;
};

}  // namespace attune::drift
