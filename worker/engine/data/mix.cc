#include "worker/engine/data/mix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>

#include "common/base/hash.h"

namespace attune::engine {
namespace {

constexpr double kWeightMax = 1000;
// Below 1 by more than rounding; the job spec's limit.
constexpr double kSharesMax = 0.999;

class MixedShard : public TokenShard {
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
  void Release() const override {
    for (const auto& shard : shards_) shard->Release();
  }

 private:
  struct Place {
    uint32_t shard, example;
  };
  std::vector<std::shared_ptr<const TokenShard>> shards_;
  std::vector<Place> places_;
  std::vector<uint32_t> lengths_, target_counts_;
};

// Where an example comes in a seed's order; random, as ids are hashes.
uint64_t PlaceOf(std::span<const uint8_t> id, uint64_t seed) {
  uint64_t place = Random(seed).Next();
  for (size_t start = 0; start < id.size(); start += sizeof(uint64_t)) {
    uint64_t word = 0;
    for (size_t i = start; i < std::min(id.size(), start + sizeof word); ++i) {
      word |= static_cast<uint64_t>(id[i]) << 8 * (i - start);
    }
    place = Random(place ^ word).Next();
  }
  return place;
}

Status CheckAmount(const MixAmount& amount) {
  if (amount.share != 0) {
    if (amount.share > 0 && amount.share <= kSharesMax) return Status();
    return InvalidArgument("a dataset's share must be above 0 and at most 0.999, not " +
                           std::to_string(amount.share))
        .WithField("dataset.share");
  }
  if (amount.weight > 0 && amount.weight <= kWeightMax) return Status();
  return InvalidArgument("a dataset's weight must be above 0 and at most 1000, not " +
                         std::to_string(amount.weight))
      .WithField("dataset.weight");
}

int64_t WeightedCount(int64_t size, double weight) {
  const double copies = std::floor(weight);
  return static_cast<int64_t>(copies) * size +
         std::llround((weight - copies) * static_cast<double>(size));
}

}  // namespace

Result<std::vector<int64_t>> MixCounts(std::span<const MixAmount> amounts) {
  double shares = 0;
  int64_t rest = 0, without_share = 0;
  std::vector<int64_t> counts;
  for (const MixAmount& amount : amounts) {
    ATTUNE_RETURN_IF_ERROR(CheckAmount(amount));
    shares += amount.share;
    counts.push_back(amount.share > 0 ? 0 : WeightedCount(amount.size, amount.weight));
    rest += counts.back();
    without_share += amount.share == 0;
  }
  if (without_share == 0 || shares > kSharesMax) {
    return InvalidArgument(
               "the datasets' shares must stay below 1, and a dataset without a share "
               "must be there to have the rest")
        .WithField("dataset.share");
  }
  for (size_t i = 0; i < counts.size(); ++i) {
    if (amounts[i].share == 0 || amounts[i].size == 0) continue;
    const double exact = amounts[i].share / (1 - shares) * static_cast<double>(rest);
    counts[i] = std::max<int64_t>(1, std::llround(exact));
  }
  return counts;
}

std::vector<uint32_t> Draw(const TokenShard& shard, size_t count, uint64_t seed) {
  std::vector<uint32_t> examples(shard.size());
  std::iota(examples.begin(), examples.end(), 0u);
  if (count >= examples.size()) return examples;
  std::vector<uint64_t> places;
  for (size_t i = 0; i < shard.size(); ++i) places.push_back(PlaceOf(shard.Example(i).id, seed));
  std::ranges::nth_element(examples, examples.begin() + static_cast<ptrdiff_t>(count),
                           [&](uint32_t a, uint32_t b) {
                             if (places[a] != places[b]) return places[a] < places[b];
                             const auto id_a = shard.Example(a).id, id_b = shard.Example(b).id;
                             const int order = std::memcmp(id_a.data(), id_b.data(), id_a.size());
                             return order != 0 ? order < 0 : a < b;
                           });
  examples.resize(count);
  std::ranges::sort(examples);
  return examples;
}

Result<std::shared_ptr<const TokenShard>> Mix(const std::vector<MixPart>& parts, uint64_t seed) {
  uint64_t total = 0;
  for (const MixPart& part : parts) {
    ATTUNE_CHECK(part.count == 0 || part.shard->size() > 0);
    total += static_cast<uint64_t>(part.count);
    if (total > UINT32_MAX) return InvalidArgument("the mixed datasets have too many examples");
  }
  if (parts.size() == 1 && total == parts[0].shard->size()) return parts[0].shard;
  auto shard = std::make_shared<MixedShard>();
  for (const MixPart& part : parts) {
    const size_t size = part.shard->size(), count = static_cast<size_t>(part.count);
    std::vector<uint32_t> examples;
    while (size > 0 && examples.size() + size <= count) {
      for (uint32_t i = 0; i < size; ++i) examples.push_back(i);
    }
    const std::vector<uint32_t> drawn = Draw(*part.shard, count - examples.size(), seed);
    examples.insert(examples.end(), drawn.begin(), drawn.end());
    shard->Add(part.shard, examples);
  }
  return std::shared_ptr<const TokenShard>(std::move(shard));
}

}  // namespace attune::engine
