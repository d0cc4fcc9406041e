#include <algorithm>

#include "worker/engine/data/length_packing.h"

namespace attune::engine {
namespace {

// Turns back in one search. More finds fuller sequences, but those use up the short examples that
// later ones need: real lengths are packed best by a few.
constexpr int kTurnsMax = 50;

class Filler {
 public:
  Filler(const Histogram& histogram, uint32_t capacity)
      : histogram_(histogram), capacity_(capacity) {
    for (const LengthCount& kind : histogram) left_.push_back(kind.count);
  }

  LengthPacking Run() {
    LengthPacking packing;
    size_t longest = histogram_.size();
    while (true) {
      while (longest > 0 && left_[longest - 1] == 0) --longest;
      if (longest == 0) return packing;
      packing.Add(Next(static_cast<uint32_t>(longest - 1)));
    }
  }

 private:
  uint32_t LengthOf(uint32_t kind) const { return histogram_[kind].length; }
  void Take(uint32_t kind) {
    --left_[kind];
    room_ -= LengthOf(kind);
    taken_.push_back(kind);
  }
  uint32_t TakeBack() {
    const uint32_t kind = taken_.back();
    taken_.pop_back();
    ++left_[kind];
    room_ += LengthOf(kind);
    return kind;
  }

  // One more than the longest kind that is left, not above `last`, and not longer than the room; 0
  // when there is none.
  uint32_t Fitting(uint32_t last) const {
    const auto end = histogram_.begin() + last + 1;
    const auto above =
        std::upper_bound(histogram_.begin(), end, room_,
                         [](uint32_t room, const LengthCount& kind) { return room < kind.length; });
    auto kind = static_cast<uint32_t>(above - histogram_.begin());
    while (kind > 0 && left_[kind - 1] == 0) --kind;
    return kind;
  }

  // The longest with what fills it best, as often as that is there.
  Pattern Next(uint32_t longest) {
    room_ = capacity_;
    Take(longest);
    Search();
    while (!taken_.empty()) TakeBack();
    const Pattern pattern{best_, TimesThere(best_, left_)};
    for (const uint32_t kind : best_) left_[kind] -= pattern.times;
    return pattern;
  }

  // Depth first, longer kinds first: what leaves the least room goes to best_.
  void Search() {
    uint32_t least = UINT32_MAX;
    uint32_t next = Fitting(taken_.back());
    for (int turns = 0;;) {
      if (next > 0) {
        Take(next - 1);
        next = Fitting(next - 1);
        continue;
      }
      if (room_ < least) {
        least = room_;
        best_ = taken_;
      }
      if (least == 0 || taken_.size() == 1 || ++turns > kTurnsMax) return;
      const uint32_t given_up = TakeBack();
      next = given_up == 0 ? 0 : Fitting(given_up - 1);
    }
  }

  const Histogram& histogram_;
  const uint32_t capacity_;
  std::vector<uint32_t> left_;  // of each kind
  std::vector<uint32_t> taken_, best_;
  uint32_t room_ = 0;
};

}  // namespace

LengthPacking FillLongest(const Histogram& histogram, uint32_t capacity) {
  return Filler(histogram, capacity).Run();
}

}  // namespace attune::engine
