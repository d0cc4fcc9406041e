#include "coordinator/datasets/id_set.h"

#include <charconv>

#include "common/base/status.h"

namespace attune::datasets {
namespace {

constexpr size_t kPlacesAtFirst = 1024;

uint64_t ParseHex(std::string_view digits) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  ATTUNE_CHECK(error == std::errc() && end == digits.data() + digits.size());
  return value;
}

}  // namespace

bool IdSet::Insert(std::string_view id) {
  ATTUNE_CHECK(id.size() == 32);
  Key key = {ParseHex(id.substr(0, 16)), ParseHex(id.substr(16))};
  if (key[0] == 0 && key[1] == 0) key[1] = 1;
  if ((size_ + 1) * 4 > table_.size() * 3) Grow();
  if (!InsertKey(key)) return false;
  ++size_;
  return true;
}

// Ids are parts of a SHA-256: their own bits spread well enough.
bool IdSet::InsertKey(const Key& key) {
  size_t mask = table_.size() - 1;
  for (size_t i = key[0] & mask;; i = (i + 1) & mask) {
    if (table_[i] == key) return false;
    if (table_[i] == Key{0, 0}) {
      table_[i] = key;
      return true;
    }
  }
}

void IdSet::Grow() {
  std::vector<Key> old(table_.empty() ? kPlacesAtFirst : table_.size() * 2, Key{0, 0});
  old.swap(table_);
  for (const Key& key : old) {
    if (key != Key{0, 0}) InsertKey(key);
  }
}

}  // namespace attune::datasets
