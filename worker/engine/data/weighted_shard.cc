#include "worker/engine/data/weighted_shard.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>

namespace attune::engine {
namespace {

constexpr double kWeightMax = 1000;

class WeightedShard : public TokenShard {
 public:
  void Add(std::shared_ptr<const TokenShard> shard, const std::vector<uint32_t>& examples) {
    for (uint32_t example : examples) {
      places_.push_back({static_cast<uint32_t>(shards_.size()), example});
      lengths_.push_back(shard->lengths()[example]);
      target_counts_.push_back(shard->target_counts()[example]);
    }
    shards_.push_back(std::move(shard));
  }

  size_t size() const override { return places_.size(); }
  TokenExample Example(size_t i) const override {
    ATTUNE_CHECK(i < places_.size());
    return shards_[places_[i].shard]->Example(places_[i].example);
  }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return target_counts_; }

 private:
  struct Place {
    uint32_t shard, example;
  };
  std::vector<std::shared_ptr<const TokenShard>> shards_;
  std::vector<Place> places_;
  std::vector<uint32_t> lengths_, target_counts_;
};

// The `count` examples with the smallest ids, in their own order.
std::vector<uint32_t> Draw(const TokenShard& shard, size_t count) {
  std::vector<uint32_t> examples(shard.size());
  std::iota(examples.begin(), examples.end(), 0u);
  std::ranges::sort(examples, [&](uint32_t a, uint32_t b) {
    auto id_a = shard.Example(a).id, id_b = shard.Example(b).id;
    int order = std::memcmp(id_a.data(), id_b.data(), id_a.size());
    return order != 0 ? order < 0 : a < b;
  });
  examples.resize(count);
  std::ranges::sort(examples);
  return examples;
}

}  // namespace

int64_t WeightedCount(int64_t size, double weight) {
  const double copies = std::floor(weight);
  return static_cast<int64_t>(copies) * size +
         std::llround((weight - copies) * static_cast<double>(size));
}

Result<std::shared_ptr<const TokenShard>> Weighted(const std::vector<WeightedPart>& parts) {
  uint64_t total = 0;
  for (const WeightedPart& part : parts) {
    if (!(part.weight > 0 && part.weight <= kWeightMax)) {
      return InvalidArgument("a dataset's weight must be above 0 and at most 1000, not " +
                             std::to_string(part.weight))
          .WithField("dataset.weight");
    }
    total += static_cast<uint64_t>(std::ceil(part.weight)) * part.shard->size();
  }
  if (total > UINT32_MAX) return InvalidArgument("the weighted datasets have too many examples");
  if (parts.size() == 1 && parts[0].weight == 1) return parts[0].shard;
  auto shard = std::make_shared<WeightedShard>();
  for (const WeightedPart& part : parts) {
    size_t size = part.shard->size();
    auto copies = static_cast<size_t>(part.weight);
    std::vector<uint32_t> examples;
    for (size_t copy = 0; copy < copies; ++copy) {
      for (uint32_t i = 0; i < size; ++i) examples.push_back(i);
    }
    auto count = static_cast<size_t>(WeightedCount(static_cast<int64_t>(size), part.weight));
    if (count > examples.size()) {
      std::vector<uint32_t> drawn = Draw(*part.shard, count - examples.size());
      examples.insert(examples.end(), drawn.begin(), drawn.end());
    }
    shard->Add(part.shard, examples);
  }
  return std::shared_ptr<const TokenShard>(std::move(shard));
}

}  // namespace attune::engine
