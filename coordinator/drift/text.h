#pragma once

// What drift looks at in a row: its text, its metadata.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "coordinator/datasets/row.h"

namespace attune::drift {

// False for a row that nothing can be learned from, as it has no answer.
bool IsLabelled(const datasets::Row& row);

struct RowFacts {
  std::string id;
  bool labelled = true;
  std::string text;  // of all its messages, or of its prompt and answers, or text; a line each
  std::map<std::string, std::string> metadata;
};

// Of a shard's line.
Result<RowFacts> ReadShardLine(std::string_view line);

}  // namespace attune::drift
