#pragma once

// Holds a file's first bytes back until they tell what takes them.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "coordinator/datasets/sources/byte_sink.h"

namespace attune::datasets {

class Recogniser final : public ByteSink {
 public:
  // What takes the bytes, beginning with head; null: more of them are needed, which is no answer
  // when head is all.
  using Decide = std::function<Result<std::unique_ptr<ByteSink>>(std::string_view head, bool all)>;

  explicit Recogniser(Decide decide) : decide_(std::move(decide)) {}

  Status Append(std::string_view bytes) override {
    if (next_) return next_->Append(bytes);
    head_.append(bytes);
    return Try(/*all=*/false);
  }

  Status End() override {
    if (!next_) ATTUNE_RETURN_IF_ERROR(Try(/*all=*/true));
    return next_->End();
  }

 private:
  Status Try(bool all) {
    ATTUNE_ASSIGN_OR_RETURN(next_, decide_(head_, all));
    if (!next_) return Status();
    const std::string head = std::move(head_);
    return next_->Append(head);
  }

  const Decide decide_;
  std::string head_;
  std::unique_ptr<ByteSink> next_;
};

}  // namespace attune::datasets
