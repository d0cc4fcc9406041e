// From bytes to rows: a batch checks them and stages those that can be used.

#include "coordinator/drift/batch.h"

#include <algorithm>

#include "common/base/utf8.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/utf8.h"
#include "coordinator/drift/text.h"

namespace attune::drift {
namespace {

constexpr size_t kFileNameBytesMax = 1024;
constexpr int kReasonsInMessage = 3;

}  // namespace

std::string Reasons(const v1::ObserveResponse& response) {
  std::string reasons;
  for (int i = 0; i < std::min(response.rejected_rows_size(), kReasonsInMessage); ++i) {
    reasons += (i == 0 ? ": " : "; ") + response.rejected_rows(i);
  }
  return reasons;
}

Batch::Batch(std::unique_ptr<State> state) : state_(std::move(state)) {}
Batch::~Batch() = default;

Status Batch::Append(const std::string& file, std::string_view bytes) {
  if (done_) return Status();
  if (file != state_->file) {
    ATTUNE_RETURN_IF_ERROR(state_->lines.EndFile());
    state_->file = file;
  }
  return state_->lines.Append(bytes);
}

Status Batch::AddLine(uint64_t number, std::string_view text, bool too_long) {
  State& s = *state_;
  if (!too_long && datasets::IsBlank(text)) return Status();
  Result<datasets::Row> row = too_long ? Result<datasets::Row>(InvalidArgument("longer than 8 MiB"))
                                       : datasets::ParseRow(text, true);
  if (!row.ok()) {
    s.response.set_rejected(s.response.rejected() + 1);
    if (s.response.rejected_rows_size() < kRejectedRowsReported) {
      s.response.add_rejected_rows(Shorten(s.file, kFileNameBytesMax) + ":" +
                                   std::to_string(number) + ": " + row.status().message());
    }
    return Status();
  }
  s.staged.bytes += text.size() + 1;
  if (s.staged.bytes > s.bytes_max) {
    return ResourceExhausted("more than " + std::to_string(s.bytes_max >> 20) +
                             " MiB of rows in one call: send them in several");
  }
  s.staged.labelled.push_back(IsLabelled(*row));
  s.response.set_accepted(s.response.accepted() + 1);
  if (s.staged.labelled.back()) s.response.set_labelled(s.response.labelled() + 1);
  s.buffer.append(text);
  s.buffer += '\n';
  return s.buffer.size() < kRowsBuffer ? Status() : s.Flush();
}

Status Batch::NothingUsable() const {
  const v1::ObserveResponse& response = state_->response;
  return InvalidArgument("none of the " + std::to_string(response.rejected()) +
                         " rows can be used" + Reasons(response));
}

Result<v1::ObserveResponse> Batch::Finish(const FileRecord* read) {
  if (done_) return *done_;
  ATTUNE_RETURN_IF_ERROR(state_->lines.EndFile());
  ATTUNE_RETURN_IF_ERROR(state_->Flush());
  if (state_->response.accepted() == 0 && state_->response.rejected() > 0 && read == nullptr) {
    ATTUNE_RETURN_IF_ERROR(state_->store->SaveRejected(*state_));
    return NothingUsable();
  }
  return state_->store->Commit(state_.get(), read);
}

}  // namespace attune::drift
