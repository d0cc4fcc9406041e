#include "worker/engine/data/sample_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "worker/engine/data/dataset_version.h"

namespace attune::engine {
namespace {

constexpr size_t kLinesAtOnce = 1024;

bool Earlier(const SampledRow& a, const SampledRow& b) {
  return a.id < b.id;
}

Result<std::string> IdOf(std::string_view line) {
  const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto id = row.is_object() ? row.find("id") : row.end();
  if (id == row.end() || !id->is_string()) return DataLoss("a row has no \"id\"");
  return id->get<std::string>();
}

// The rows with the lowest ids, as a heap with the highest of them on top.
class Lowest {
 public:
  explicit Lowest(int max) : max_(max > 0 ? static_cast<size_t>(max) : SIZE_MAX) {}

  Status Add(std::string_view line) {
    ATTUNE_ASSIGN_OR_RETURN(std::string id, IdOf(line));
    if (rows_.size() == max_) {
      if (id >= rows_.front().id) return Status();
      std::ranges::pop_heap(rows_, Earlier);
      rows_.pop_back();
    }
    rows_.push_back({std::move(id), std::string(line)});
    std::ranges::push_heap(rows_, Earlier);
    return Status();
  }

  std::vector<SampledRow> Take() {
    std::ranges::sort(rows_, Earlier);
    return std::move(rows_);
  }

 private:
  const size_t max_;
  std::vector<SampledRow> rows_;
};

}  // namespace

Result<std::vector<SampledRow>> SampleRows(const DatasetFiles& dataset,
                                           const std::vector<std::string>& splits,
                                           int max_examples) {
  ATTUNE_ASSIGN_OR_RETURN(const DatasetVersionFiles version, ReadManifest(dataset));
  Lowest lowest(max_examples);
  for (const DatasetShard& shard : version.shards) {
    if (!splits.empty() && std::ranges::find(splits, shard.split) == splits.end()) continue;
    const Status read =
        ReadShardLines(shard, kLinesAtOnce, [&](const std::vector<std::string_view>& lines) {
          for (const std::string_view line : lines) ATTUNE_RETURN_IF_ERROR(lowest.Add(line));
          return Status();
        });
    if (!read.ok()) return read.WithContext(shard.file.string());
  }
  return lowest.Take();
}

}  // namespace attune::engine
