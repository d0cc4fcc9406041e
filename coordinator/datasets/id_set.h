#pragma once

// The ids of an import seen so far: open addressing, 16 bytes an entry, so that a hundred million
// rows fit in a few gigabytes where a node-based set would need ten times as much.

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace attune::datasets {

class IdSet {
 public:
  // id: 32 hexadecimal digits. False when it was there already.
  bool Insert(std::string_view id);
  size_t size() const { return size_; }

 private:
  using Key = std::array<uint64_t, 2>;  // zero is an empty place; the id zero is stored as {0, 1}
  bool InsertKey(const Key& key);
  void Grow();

  std::vector<Key> table_;
  size_t size_ = 0;
};

}  // namespace attune::datasets
