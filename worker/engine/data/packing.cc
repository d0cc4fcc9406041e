#include "worker/engine/data/packing.h"

#include <algorithm>
#include <numeric>
#include <queue>

namespace attune::engine {
namespace {

// Where the items of each key, 0 to `keys` - 1, start when they are sorted by it.
template <typename Key>
std::vector<uint32_t> Starts(size_t count, size_t keys, const Key& key) {
  std::vector<uint32_t> starts(keys + 1, 0);
  for (size_t i = 0; i < count; ++i) ++starts[key(i) + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  return starts;
}

// `items` by their keys; stable.
template <typename Key>
Bins Group(std::span<const uint32_t> items, size_t keys, const Key& key) {
  Bins bins;
  bins.starts = Starts(items.size(), keys, key);
  std::vector<uint32_t> places(bins.starts.begin(), bins.starts.end() - 1);
  bins.items.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) bins.items[places[key(i)]++] = items[i];
  return bins;
}

std::vector<uint32_t> Numbers(size_t count) {
  std::vector<uint32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0u);
  return numbers;
}

struct StepLoad {
  uint64_t tokens;
  uint32_t places, taken;
  uint32_t step;
};

// True when a has more work for its places than b, so that the top of the queue has the least.
bool MoreLoaded(const StepLoad& a, const StepLoad& b) {
  __uint128_t left = static_cast<__uint128_t>(a.tokens) * b.places;
  __uint128_t right = static_cast<__uint128_t>(b.tokens) * a.places;
  return left != right ? left > right : a.step > b.step;
}

// The step of each sequence, of `order`, longest first.
std::vector<uint32_t> Deal(std::span<const uint32_t> order, std::span<const uint32_t> tokens,
                           size_t places, size_t steps) {
  std::vector<StepLoad> loads;
  for (size_t step = 0; step < steps; ++step) {
    const size_t room = std::min(places, order.size() - step * places);
    loads.push_back({0, static_cast<uint32_t>(room), 0, static_cast<uint32_t>(step)});
  }
  std::priority_queue<StepLoad, std::vector<StepLoad>, decltype(&MoreLoaded)> least(
      &MoreLoaded, std::move(loads));
  std::vector<uint32_t> step_of(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    StepLoad load = least.top();
    least.pop();
    step_of[i] = load.step;
    load.tokens += tokens[order[i]];
    if (++load.taken < load.places) least.push(load);
  }
  return step_of;
}

}  // namespace

void Shuffle(std::span<uint32_t> items, Random* random) {
  for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[random->Below(i)]);
}

Packer::Packer(std::span<const uint32_t> lengths, uint32_t capacity)
    : histogram_(CountLengths(lengths)), packing_(PackLengths(histogram_, capacity)) {
  const size_t longest = histogram_.empty() ? 0 : histogram_.back().length;
  std::vector<uint32_t> places =
      Starts(lengths.size(), longest + 1, [&](size_t i) { return lengths[i]; });
  by_length_.resize(lengths.size());
  for (uint32_t i = 0; i < lengths.size(); ++i) by_length_[places[lengths[i]]++] = i;
}

Bins Packer::Pack(Random* random) const {
  std::vector<uint32_t> examples = by_length_;
  std::vector<size_t> next;  // of each kind, in examples
  size_t start = 0;
  for (const LengthCount& kind : histogram_) {
    next.push_back(start);
    Shuffle(std::span(examples).subspan(start, kind.count), random);
    start += kind.count;
  }
  Bins bins;
  bins.items.reserve(examples.size());
  bins.starts.reserve(packing_.sequences + 1);
  for (const Pattern& pattern : packing_.patterns) {
    for (uint32_t time = 0; time < pattern.times; ++time) {
      for (const uint32_t kind : pattern.kinds) bins.items.push_back(examples[next[kind]++]);
      bins.starts.push_back(static_cast<uint32_t>(bins.items.size()));
    }
  }
  ATTUNE_CHECK(bins.items.size() == examples.size());
  return bins;
}

Bins BalanceSteps(std::span<const uint32_t> sequence_tokens, uint32_t capacity, int size,
                  Random* random) {
  const size_t count = sequence_tokens.size(), places = static_cast<size_t>(size);
  const size_t steps = (count + places - 1) / places;
  std::vector<uint32_t> order = Numbers(count);
  Shuffle(order, random);
  order = Group(order, static_cast<size_t>(capacity) + 1, [&](size_t i) {
            return capacity - sequence_tokens[order[i]];
          }).items;
  std::vector<uint32_t> step_of = Deal(order, sequence_tokens, places, steps);
  // A random order of the full steps, and of the sequences inside a step.
  std::vector<uint32_t> new_number = Numbers(steps);
  Shuffle(std::span(new_number).first(count / places), random);
  std::vector<uint32_t> mixed = Numbers(count);
  Shuffle(mixed, random);
  std::vector<uint32_t> mixed_order(count);
  for (size_t i = 0; i < count; ++i) mixed_order[i] = order[mixed[i]];
  return Group(mixed_order, steps, [&](size_t i) { return new_number[step_of[mixed[i]]]; });
}

}  // namespace attune::engine
