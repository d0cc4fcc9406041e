#pragma once

// Rows of Arrow columns as JSON objects: structs and maps with string keys are objects, other maps
// lists of [key, value], lists lists, dictionaries what they stand for; decimals are strings with
// all their digits; dates, times and timestamps strings as ISO 8601 has them (a timestamp of a time
// zone in UTC with "Z"); durations whole numbers of their unit. A null is left out, as columns have
// one where a row has no such key; in a list, it is null. So are not-a-number and infinity. Bytes
// that are no text, and types that JSON has no form for, are null: a key without a value.

#include <arrow/record_batch.h>

#include <string>
#include <vector>

#include "common/base/status.h"

namespace attune::datasets {

class ColumnJson {
 public:
  // kInvalidArgument when two columns have the same name.
  static Result<ColumnJson> Make(const arrow::Schema& schema);

  // Appends row i. False when it became longer than bytes_max; out is then cut off.
  bool Append(const arrow::RecordBatch& batch, int64_t i, size_t bytes_max, std::string* out) const;

 private:
  std::vector<std::string> keys_;  // as they begin a member: "\"prompt\":"
};

}  // namespace attune::datasets
