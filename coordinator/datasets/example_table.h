#pragma once

// The distinct examples of a version in the making, numbered from 0 in the order in which they
// came. Memory: 16 bytes an example and an index of 5 to 11, so that a hundred million fit in a few
// gigabytes where a node-based map would need ten times as much.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace attune::datasets {

// An id as a number: the 32 hexadecimal digits of the text.
struct ExampleId {
  uint64_t high = 0, low = 0;
  auto operator<=>(const ExampleId&) const = default;
};

// text: 32 hexadecimal digits, which the caller has checked.
ExampleId ParseExampleId(std::string_view text);
std::string FormatExampleId(const ExampleId& id);

class ExampleTable {
 public:
  struct Place {
    uint32_t number;
    bool added;  // false: it was there already
  };
  Place Insert(const ExampleId& id);
  std::optional<uint32_t> Find(const ExampleId& id) const;
  const ExampleId& id(uint32_t number) const { return ids_[number]; }
  uint32_t size() const { return static_cast<uint32_t>(ids_.size()); }

 private:
  size_t PlaceOf(const ExampleId& id) const;
  void Grow();

  std::deque<ExampleId> ids_;
  std::vector<uint32_t> index_;  // open addressing; a number, or kEmpty
};

}  // namespace attune::datasets
