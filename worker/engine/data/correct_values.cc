#include <algorithm>
#include <bit>
#include <optional>

#include "worker/engine/data/length_packing.h"

namespace attune::engine {
namespace {

constexpr int kPassesMax = 16;
// Updates of what one room can hold: about a second.
constexpr uint64_t kWorkMax = 2'000'000'000;
constexpr size_t kTakenBytesMax = 64 << 20;
// A length that is left alone in half a sequence or less is worth no more than this.
constexpr uint64_t kCorrectionMax = 4;

// Some examples of one kind, taken together or not at all.
struct Item {
  uint32_t kind, copies, length;
  int32_t value;
};

// Which items of the most value fit into a room.
class Knapsack {
 public:
  // False when that would be too much work.
  bool Solve(const std::vector<Item>& items, uint32_t room, uint64_t* work);
  const std::vector<uint32_t>& chosen() const { return chosen_; }  // indices of items

 private:
  std::vector<int32_t> best_, next_;  // by room
  std::vector<uint8_t> taken_;        // by item and room
  std::vector<uint32_t> chosen_;
};

bool Knapsack::Solve(const std::vector<Item>& items, uint32_t room, uint64_t* work) {
  const size_t width = static_cast<size_t>(room) + 1;
  chosen_.clear();
  if (items.size() * width > kTakenBytesMax || items.size() * width > *work) return false;
  *work -= items.size() * width;
  best_.assign(width, 0);
  next_.resize(width);
  taken_.resize(items.size() * width);
  for (size_t i = 0; i < items.size(); ++i) {
    const size_t length = items[i].length;
    const int32_t value = items[i].value;
    uint8_t* const taken = taken_.data() + i * width;
    std::fill_n(taken, length, 0);
    std::copy_n(best_.begin(), length, next_.begin());
    for (size_t r = length; r < width; ++r) {
      const int32_t with = best_[r - length] + value, without = best_[r];
      taken[r] = with > without;
      next_[r] = std::max(with, without);
    }
    best_.swap(next_);
  }
  size_t left = room;
  for (size_t i = items.size(); i-- > 0;) {
    if (taken_[i * width + left] == 0) continue;
    chosen_.push_back(static_cast<uint32_t>(i));
    left -= items[i].length;
  }
  return true;
}

class ValueCorrection {
 public:
  ValueCorrection(const Histogram& histogram, uint32_t capacity)
      : histogram_(histogram), capacity_(capacity), scale_(std::max(1u, (1u << 28) / capacity)) {
    for (const LengthCount& kind : histogram) values_.push_back(Worth(kind.length, capacity));
  }

  // Every sequence takes the longest example left first, or only what is worth most. Empty when the
  // work is up.
  std::optional<LengthPacking> Pass(bool longest_first);

 private:
  // Of a length in a sequence that is filled so far. A little more than its share: long ones are
  // harder to place.
  int32_t Worth(uint32_t length, uint32_t filled) const {
    const uint64_t plain = static_cast<uint64_t>(length) * scale_ *
                           (256 + 9 * static_cast<uint64_t>(std::bit_width(length))) / 256;
    return static_cast<int32_t>(std::min(plain * kCorrectionMax, plain * capacity_ / filled));
  }

  bool Choose(bool longest_first, Pattern* pattern);
  void MakeItems(uint32_t room);
  void Correct(const Pattern& pattern);

  const Histogram& histogram_;
  const uint32_t capacity_, scale_;
  uint64_t work_ = kWorkMax;
  std::vector<int32_t> values_, next_values_;
  std::vector<uint32_t> left_;
  std::vector<Item> items_;
  Knapsack knapsack_;
};

void ValueCorrection::MakeItems(uint32_t room) {
  items_.clear();
  for (uint32_t kind = 0; kind < histogram_.size(); ++kind) {
    const uint32_t length = histogram_[kind].length;
    if (length > room) return;
    // 1, 2, 4, ... copies: any number is a sum of some of them.
    uint32_t copies = std::min(left_[kind], room / length);
    for (uint32_t some = 1; copies > 0; some *= 2) {
      some = std::min(some, copies);
      items_.push_back({kind, some, some * length, static_cast<int32_t>(some) * values_[kind]});
      copies -= some;
    }
  }
}

bool ValueCorrection::Choose(bool longest_first, Pattern* pattern) {
  uint32_t room = capacity_;
  if (longest_first) {
    auto longest = static_cast<uint32_t>(histogram_.size());
    while (left_[longest - 1] == 0) --longest;
    pattern->kinds.push_back(longest - 1);
    room -= histogram_[longest - 1].length;
    --left_[longest - 1];
  }
  MakeItems(room);
  const bool solved = knapsack_.Solve(items_, room, &work_);
  if (longest_first) ++left_[pattern->kinds[0]];
  for (const uint32_t item : knapsack_.chosen()) {
    pattern->kinds.insert(pattern->kinds.end(), items_[item].copies, items_[item].kind);
  }
  return solved;
}

void ValueCorrection::Correct(const Pattern& pattern) {
  uint32_t filled = 0;
  for (const uint32_t kind : pattern.kinds) filled += histogram_[kind].length;
  for (const uint32_t kind : pattern.kinds) {
    // Half of the way, by the part of the kind that is in these sequences.
    const int64_t all = 2 * static_cast<int64_t>(histogram_[kind].count), here = pattern.times;
    const __int128_t kept = static_cast<__int128_t>(next_values_[kind]) * (all - here);
    const __int128_t added = static_cast<__int128_t>(Worth(histogram_[kind].length, filled)) * here;
    next_values_[kind] = static_cast<int32_t>((kept + added) / all);
  }
}

std::optional<LengthPacking> ValueCorrection::Pass(bool longest_first) {
  LengthPacking packing;
  left_.clear();
  uint64_t examples = 0;
  for (const LengthCount& kind : histogram_) {
    left_.push_back(kind.count);
    examples += kind.count;
  }
  next_values_ = values_;
  while (examples > 0) {
    Pattern pattern;
    if (!Choose(longest_first, &pattern)) return std::nullopt;
    std::ranges::sort(pattern.kinds, std::greater());
    pattern.times = TimesThere(pattern.kinds, left_);
    for (const uint32_t kind : pattern.kinds) left_[kind] -= pattern.times;
    examples -= static_cast<uint64_t>(pattern.times) * pattern.kinds.size();
    Correct(pattern);
    packing.Add(std::move(pattern));
  }
  values_ = next_values_;
  return packing;
}

// What a pass costs at least, roughly: half of the kinds into half of the room for each kind.
bool Affordable(const Histogram& histogram, uint32_t capacity) {
  const uint64_t kinds = histogram.size();
  return kinds <= 8 * kWorkMax / capacity / kinds;
}

}  // namespace

LengthPacking CorrectValues(const Histogram& histogram, uint32_t capacity, uint64_t goal) {
  LengthPacking best;
  if (!Affordable(histogram, capacity)) return best;
  ValueCorrection correction(histogram, capacity);
  for (int pass = 0; pass < kPassesMax; ++pass) {
    std::optional<LengthPacking> packing = correction.Pass(pass % 2 == 0);
    if (!packing) break;
    if (best.sequences == 0 || packing->sequences < best.sequences) best = std::move(*packing);
    if (best.sequences <= goal) break;
  }
  return best;
}

}  // namespace attune::engine
