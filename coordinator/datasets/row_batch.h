#pragma once

// Rows that are read together, on several threads, and then taken in order by one. Memory: 4 MiB
// of lines, or one longer line, and what is made of them.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "coordinator/datasets/row.h"
#include "coordinator/datasets/sources/source_row.h"

namespace attune::datasets {

struct ReadRow {
  size_t file = 0;         // the number of the file that it is from
  uint64_t line = 0;       // in that file, from 1
  Result<Row> row;         // or what is wrong with it
  std::string shard_line;  // with its end; empty when something is wrong
  uint64_t hash = 0;       // HashOfLine of it
};

class RowBatch {
 public:
  // mapping outlives the batch. threads: 0 for as many as the machine has.
  RowBatch(bool allow_unlabelled, const Mapping* mapping, int threads);

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

  const bool allow_unlabelled_;
  const Mapping* const mapping_;
  const int threads_;
  std::string text_;
  std::vector<Entry> entries_;
};

}  // namespace attune::datasets
