#pragma once

// Rows that are read together, on several threads, and then taken in order by one. Memory: 4 MiB
// of lines, or one longer line, and what is made of them.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/cancel_check.h"
#include "common/base/status.h"
#include "coordinator/curation/signature.h"
#include "coordinator/datasets/curator.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/sources/source_row.h"

namespace attune::datasets {

struct ReadRow {
  size_t file = 0;                  // the number of the file that it is from
  uint64_t line = 0;                // in that file, from 1
  Result<Row> row;                  // or what is wrong with it
  std::string shard_line;           // with its end; empty when something is wrong
  uint64_t hash = 0;                // HashOfLine of it
  Curator::Verdict verdict;         // of a usable row
  curation::Signature signature{};  // of one that is not dropped, if signatures are wanted
};

class RowBatch {
 public:
  struct Options {
    bool allow_unlabelled = false;
    const Mapping* mapping = nullptr;        // outlives the batch
    int threads = 0;                         // 0: as many as the machine has
    std::shared_ptr<const Curator> curator;  // null: rows are taken as they are
    bool signatures = false;
    CancelCheck cancelled = CancelCheck();  // asked now and then by each thread
  };
  explicit RowBatch(Options options);

  void Add(const SourceRow& row);
  bool full() const;
  // Empties the batch; the first error of take is returned.
  Status Take(const std::function<Status(ReadRow&)>& take);

 private:
  struct Entry {
    size_t file;
    uint64_t line;
    size_t begin, size;  // in text_
    std::string problem;
  };
  ReadRow Read(const Entry& entry) const;
  Status ReadAll(std::vector<std::optional<ReadRow>>* rows) const;

  const Options options_;
  std::string text_;
  std::vector<Entry> entries_;
};

}  // namespace attune::datasets
