#include "worker/engine/data/packing.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <queue>

namespace attune::engine {
namespace {

constexpr uint32_t kNone = UINT32_MAX;

// Counting sort, longest first; stable.
std::vector<uint32_t> LongestFirst(std::span<const uint32_t> order,
                                   std::span<const uint32_t> lengths, int capacity) {
  std::vector<uint32_t> places(static_cast<size_t>(capacity) + 2, 0);
  for (uint32_t example : order) ++places[static_cast<size_t>(capacity) - lengths[example] + 1];
  std::partial_sum(places.begin(), places.end(), places.begin());
  std::vector<uint32_t> sorted(order.size());
  for (uint32_t example : order) {
    sorted[places[static_cast<size_t>(capacity) - lengths[example]]++] = example;
  }
  return sorted;
}

// Open bins by the room they have left: which room of at least n is the smallest that some bin has?
class RoomIndex {
 public:
  explicit RoomIndex(int capacity)
      : leaves_(std::bit_ceil(static_cast<size_t>(capacity) + 1)),
        any_(2 * leaves_, false),
        first_(static_cast<size_t>(capacity) + 1, kNone) {}

  void Put(uint32_t bin, uint32_t room) {
    if (next_.size() <= bin) next_.resize(bin + 1, kNone);
    next_[bin] = first_[room];
    first_[room] = bin;
    for (size_t node = leaves_ + room; node > 0 && !any_[node]; node /= 2) any_[node] = true;
  }

  // Takes a bin of the smallest sufficient room out; kNone when there is none.
  uint32_t Take(uint32_t need, uint32_t* room) {
    size_t leaf = FirstFrom(need);
    if (leaf == 0) return kNone;
    *room = static_cast<uint32_t>(leaf - leaves_);
    uint32_t bin = first_[*room];
    first_[*room] = next_[bin];
    if (first_[*room] == kNone) {
      any_[leaf] = false;
      for (size_t node = leaf / 2; node > 0; node /= 2)
        any_[node] = any_[2 * node] || any_[2 * node + 1];
    }
    return bin;
  }

 private:
  // The first leaf from `room` on with a bin; 0 when there is none.
  size_t FirstFrom(uint32_t room) const {
    size_t node = leaves_ + room;
    while (!any_[node]) {
      // Up while a right child, then over to the right sibling.
      while (node % 2 == 1) node /= 2;
      if (node == 0) return 0;
      ++node;
    }
    while (node < leaves_) node = any_[2 * node] ? 2 * node : 2 * node + 1;
    return node;
  }

  const size_t leaves_;
  std::vector<bool> any_;
  std::vector<uint32_t> first_;  // by room: the last bin put there
  std::vector<uint32_t> next_;   // by bin
};

Bins Group(const std::vector<uint32_t>& items, const std::vector<uint32_t>& bin_of, size_t count) {
  Bins bins;
  bins.starts.assign(count + 1, 0);
  for (uint32_t bin : bin_of) ++bins.starts[bin + 1];
  std::partial_sum(bins.starts.begin(), bins.starts.end(), bins.starts.begin());
  std::vector<uint32_t> places(bins.starts.begin(), bins.starts.end() - 1);
  bins.items.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) bins.items[places[bin_of[i]]++] = items[i];
  return bins;
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

}  // namespace

void Shuffle(std::vector<uint32_t>* items, Random* random) {
  for (size_t i = items->size(); i > 1; --i) std::swap((*items)[i - 1], (*items)[random->Below(i)]);
}

Bins PackBestFit(std::span<const uint32_t> order, std::span<const uint32_t> lengths, int capacity) {
  std::vector<uint32_t> sorted = LongestFirst(order, lengths, capacity);
  std::vector<uint32_t> bin_of(sorted.size());
  RoomIndex rooms(capacity);
  uint32_t bins = 0;
  for (size_t i = 0; i < sorted.size(); ++i) {
    uint32_t length = lengths[sorted[i]];
    uint32_t room = static_cast<uint32_t>(capacity);
    uint32_t bin = rooms.Take(length, &room);
    if (bin == kNone) bin = bins++;
    bin_of[i] = bin;
    rooms.Put(bin, room - length);
  }
  return Group(sorted, bin_of, bins);
}

Bins BalanceSteps(std::span<const uint64_t> sequence_tokens, int size, Random* random) {
  const size_t count = sequence_tokens.size(), places = static_cast<size_t>(size);
  const size_t steps = (count + places - 1) / places;
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0u);
  Shuffle(&order, random);
  std::ranges::stable_sort(order, std::greater(), [&](uint32_t s) { return sequence_tokens[s]; });

  std::vector<StepLoad> loads;
  for (size_t step = 0; step < steps; ++step) {
    size_t room = std::min(places, count - step * places);
    loads.push_back({0, static_cast<uint32_t>(room), 0, static_cast<uint32_t>(step)});
  }
  std::priority_queue<StepLoad, std::vector<StepLoad>, decltype(&MoreLoaded)> least(
      &MoreLoaded, std::move(loads));
  std::vector<uint32_t> step_of(count);
  for (size_t i = 0; i < count; ++i) {
    StepLoad load = least.top();
    least.pop();
    step_of[i] = load.step;
    load.tokens += sequence_tokens[order[i]];
    if (++load.taken < load.places) least.push(load);
  }
  // A random order of the full steps, and of the sequences inside a step.
  std::vector<uint32_t> new_number(steps);
  std::iota(new_number.begin(), new_number.end(), 0u);
  const bool last_is_short = count % places != 0;
  std::vector<uint32_t> full(new_number.begin(), new_number.end() - (last_is_short ? 1 : 0));
  Shuffle(&full, random);
  std::ranges::copy(full, new_number.begin());
  for (uint32_t& step : step_of) step = new_number[step];
  std::vector<uint32_t> mixed(count);
  std::iota(mixed.begin(), mixed.end(), 0u);
  Shuffle(&mixed, random);
  std::vector<uint32_t> mixed_order(count), mixed_steps(count);
  for (size_t i = 0; i < count; ++i) {
    mixed_order[i] = order[mixed[i]];
    mixed_steps[i] = step_of[mixed[i]];
  }
  return Group(mixed_order, mixed_steps, steps);
}

}  // namespace attune::engine
