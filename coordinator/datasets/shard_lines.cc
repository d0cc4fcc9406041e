#include "coordinator/datasets/shard_lines.h"

#include <algorithm>
#include <set>

#include "common/base/hash.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {

Status ReadShardLinesAt(const v1::DatasetVersion& version, const Shard& shard,
                        const std::vector<uint64_t>& numbers,
                        const std::function<Status(uint64_t, std::string_view)>& take) {
  uint64_t number = 0;
  size_t next = 0;
  Status failure;
  Status read = ReadShard(version, shard, [&](std::string_view line) -> Status {
    if (next < numbers.size() && number == numbers[next]) {
      ++next;
      failure = take(number, line);
    }
    ++number;
    return failure.ok() && next < numbers.size() ? Status() : Cancelled("no more is wanted");
  });
  if (!failure.ok()) return failure;
  if (next == numbers.size()) return Status();
  if (!read.ok()) return read;
  return DataLoss(version.path() + "/" + shard.file + ": fewer lines than it had");
}

std::vector<uint64_t> DrawBelow(uint64_t total, uint64_t count, uint64_t seed) {
  Random random(seed);
  std::set<uint64_t> drawn;
  for (uint64_t last = total - std::min(total, count); last < total; ++last) {
    const uint64_t number = random.Below(last + 1);
    if (!drawn.insert(number).second) drawn.insert(last);
  }
  return {drawn.begin(), drawn.end()};
}

}  // namespace attune::datasets
