#include "worker/engine/data/length_packing.h"

#include <algorithm>
#include <map>

#include "common/base/status.h"

namespace attune::engine {
namespace {

// Sequences alike that still have room.
struct Open {
  std::vector<uint32_t> kinds;
  uint32_t times;
};

// Open sequences by their room; those of one room as a stack.
class Rooms {
 public:
  explicit Rooms(uint32_t capacity) : capacity_(capacity) {}

  // Puts `count` examples of a kind, each into the fullest sequence that has room.
  void Put(uint32_t kind, uint32_t length, uint32_t count) {
    while (count > 0) {
      auto at = open_.lower_bound(length);
      const uint32_t room = at == open_.end() ? capacity_ : at->first;
      // A sequence that has taken one is the fullest for the next one too, while it has room.
      const uint32_t each = std::min(room / length, count);
      Open taken = Take(at, count / each);
      taken.kinds.insert(taken.kinds.end(), each, kind);
      count -= taken.times * each;
      open_[room - each * length].push_back(std::move(taken));
    }
  }

  LengthPacking Close() {
    LengthPacking packing;
    for (auto& [room, opens] : open_) {
      for (Open& open : opens) packing.Add({std::move(open.kinds), open.times});
    }
    return packing;
  }

 private:
  // At most `times` of those at `at`; new ones where that is the end.
  Open Take(std::map<uint32_t, std::vector<Open>>::iterator at, uint32_t times) {
    if (at == open_.end()) return {{}, times};
    Open& top = at->second.back();
    if (top.times > times) {
      top.times -= times;
      return {top.kinds, times};
    }
    Open taken = std::move(top);
    at->second.pop_back();
    if (at->second.empty()) open_.erase(at);
    return taken;
  }

  const uint32_t capacity_;
  std::map<uint32_t, std::vector<Open>> open_;
};

}  // namespace

Histogram CountLengths(std::span<const uint32_t> lengths) {
  if (lengths.empty()) return {};
  std::vector<uint32_t> counts(static_cast<size_t>(*std::ranges::max_element(lengths)) + 1, 0);
  for (const uint32_t length : lengths) ++counts[length];
  ATTUNE_CHECK(counts[0] == 0);
  Histogram histogram;
  for (uint32_t length = 1; length < counts.size(); ++length) {
    if (counts[length] > 0) histogram.push_back({length, counts[length]});
  }
  return histogram;
}

uint32_t TimesThere(std::span<const uint32_t> kinds, std::span<const uint32_t> left) {
  uint32_t times = UINT32_MAX, same = 0;
  for (size_t i = 0; i < kinds.size(); ++i) {
    same = i > 0 && kinds[i] == kinds[i - 1] ? same + 1 : 1;
    times = std::min(times, left[kinds[i]] / same);
  }
  return times;
}

LengthPacking BestFitDecreasing(const Histogram& histogram, uint32_t capacity) {
  Rooms rooms(capacity);
  for (size_t kind = histogram.size(); kind-- > 0;) {
    rooms.Put(static_cast<uint32_t>(kind), histogram[kind].length, histogram[kind].count);
  }
  return rooms.Close();
}

LengthPacking PackLengths(const Histogram& histogram, uint32_t capacity) {
  LengthPacking best = BestFitDecreasing(histogram, capacity);
  const uint64_t fewest = FewestSequences(histogram, capacity);
  const auto improve = [&](LengthPacking other) {
    if (other.sequences > 0 && other.sequences < best.sequences) best = std::move(other);
  };
  if (best.sequences > fewest) improve(FillLongest(histogram, capacity));
  // One in 4,000 of many sequences is not worth a second of work.
  const uint64_t goal = fewest + fewest / 4000;
  if (best.sequences > goal) improve(CorrectValues(histogram, capacity, goal));
  best.fewest = fewest;
  return best;
}

}  // namespace attune::engine
