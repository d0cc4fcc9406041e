#include <algorithm>

#include "coordinator/datasets/catalog.h"
#include "coordinator/datasets/shard_lines.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {
namespace {

constexpr uint32_t kSampleMax = 10'000;

Status CheckSample(const v1::SampleDatasetRequest& request) {
  if (request.examples() < 1 || request.examples() > kSampleMax) {
    return InvalidArgument("from 1 to " + std::to_string(kSampleMax) + " examples can be drawn")
        .WithField("examples");
  }
  if (request.split().empty() || std::ranges::find(kSplits, request.split()) != kSplits.end()) {
    return Status();
  }
  return InvalidArgument("a split is train, validation or unlabelled").WithField("split");
}

}  // namespace

Status Catalog::Sample(const v1::SampleDatasetRequest& request,
                       const std::function<Status(std::string_view)>& take) {
  ATTUNE_RETURN_IF_ERROR(CheckSample(request));
  ATTUNE_ASSIGN_OR_RETURN(const Held held, Hold(request.dataset()));
  ATTUNE_ASSIGN_OR_RETURN(std::vector<Shard> shards, ReadManifest(held.version));
  if (!request.split().empty()) {
    std::erase_if(shards, [&](const Shard& shard) { return shard.split != request.split(); });
  }
  uint64_t total = 0;
  for (const Shard& shard : shards) total += shard.examples;
  const std::vector<uint64_t> drawn = DrawBelow(total, request.examples(), request.seed());
  auto next = drawn.begin();
  uint64_t first = 0;
  for (const Shard& shard : shards) {
    std::vector<uint64_t> numbers;
    for (; next != drawn.end() && *next < first + shard.examples; ++next) {
      numbers.push_back(*next - first);
    }
    first += shard.examples;
    if (numbers.empty()) continue;
    ATTUNE_RETURN_IF_ERROR(ReadShardLinesAt(
        held.version, shard, numbers, [&](uint64_t, std::string_view line) { return take(line); }));
  }
  return Status();
}

}  // namespace attune::datasets
