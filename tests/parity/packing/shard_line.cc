#include "tests/parity/packing/shard_line.h"

#include <gtest/gtest.h>

#include "coordinator/datasets/row.h"

namespace attune::parity {

std::string ShardLineOf(const std::string& row) {
  auto parsed = datasets::ParseRow(row);
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString();
  return parsed.ok() ? datasets::ShardLine(*parsed) : "";
}

}  // namespace attune::parity
