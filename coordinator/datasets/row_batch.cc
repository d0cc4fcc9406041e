#include "coordinator/datasets/row_batch.h"

#include <algorithm>
#include <optional>
#include <thread>

#include "common/base/parallel_for.h"
#include "coordinator/datasets/shard_index.h"

namespace attune::datasets {
namespace {

constexpr size_t kTextBytes = 4 << 20;
constexpr size_t kRows = 1 << 16;
constexpr size_t kRowsATime = 32;  // taken by a thread
// Of rows that a thread reads between two asks: patterns may take seconds for a longer one.
constexpr size_t kBytesAnAsk = 16 << 10;

int ThreadsOf(int threads) {
  return threads > 0 ? threads
                     : static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace

RowBatch::RowBatch(Options options) : options_(std::move(options)) {}

void RowBatch::Add(const SourceRow& row) {
  entries_.push_back(
      {row.file, row.number, text_.size(), row.json.size(), std::string(row.problem)});
  text_ += row.json;
}

bool RowBatch::full() const {
  return text_.size() >= kTextBytes || entries_.size() >= kRows;
}

ReadRow RowBatch::Read(const Entry& entry) const {
  const auto text = std::string_view(text_).substr(entry.begin, entry.size);
  ReadRow read{entry.file,
               entry.line,
               entry.problem.empty() ? ParseRow(text, options_.allow_unlabelled, options_.mapping)
                                     : InvalidArgument(entry.problem),
               "",
               0,
               {}};
  if (!read.row.ok()) return read;
  if (options_.curator != nullptr) {
    read.verdict = options_.curator->Curate(&*read.row, options_.allow_unlabelled);
  }
  if (options_.signatures && !read.verdict.dropped) {
    read.signature = curation::SignatureOf(read.row->reading_text);
  }
  read.row->reading_text = std::string();
  read.shard_line = ShardLine(*read.row);
  read.hash = HashOfLine(std::string_view(read.shard_line).substr(0, read.shard_line.size() - 1));
  return read;
}

Status RowBatch::ReadAll(std::vector<std::optional<ReadRow>>* rows) const {
  const size_t pieces = (rows->size() + kRowsATime - 1) / kRowsATime;
  return ParallelFor(pieces, ThreadsOf(options_.threads), [&](size_t piece) -> Status {
    const size_t end = std::min(rows->size(), (piece + 1) * kRowsATime);
    size_t unasked = kBytesAnAsk;
    for (size_t i = piece * kRowsATime; i < end; ++i) {
      if (unasked >= kBytesAnAsk) {
        ATTUNE_RETURN_IF_ERROR(options_.cancelled.Now());
        unasked = 0;
      }
      (*rows)[i].emplace(Read(entries_[i]));
      unasked += entries_[i].size;
    }
    return Status();
  });
}

Status RowBatch::Take(const std::function<Status(ReadRow&)>& take) {
  std::vector<std::optional<ReadRow>> rows(entries_.size());
  ATTUNE_RETURN_IF_ERROR(ReadAll(&rows));
  for (std::optional<ReadRow>& row : rows) ATTUNE_RETURN_IF_ERROR(take(*row));
  text_.clear();
  entries_.clear();
  return Status();
}

}  // namespace attune::datasets
