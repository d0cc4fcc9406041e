#include "coordinator/datasets/example_table.h"

#include <charconv>
#include <cstdio>
#include <limits>

#include "common/base/status.h"

namespace attune::datasets {
namespace {

constexpr size_t kPlacesAtFirst = 1024;
constexpr uint32_t kEmpty = std::numeric_limits<uint32_t>::max();

uint64_t ParseHex(std::string_view digits) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
  ATTUNE_CHECK(error == std::errc() && end == digits.data() + digits.size());
  return value;
}

}  // namespace

ExampleId ParseExampleId(std::string_view text) {
  ATTUNE_CHECK(text.size() == 32);
  return {ParseHex(text.substr(0, 16)), ParseHex(text.substr(16))};
}

std::string FormatExampleId(const ExampleId& id) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(id.high),
                static_cast<unsigned long long>(id.low));
  return text;
}

// Ids are parts of a SHA-256: their own bits spread well enough.
size_t ExampleTable::PlaceOf(const ExampleId& id) const {
  const size_t mask = index_.size() - 1;
  size_t place = id.low & mask;
  while (index_[place] != kEmpty && ids_[index_[place]] != id) place = (place + 1) & mask;
  return place;
}

ExampleTable::Place ExampleTable::Insert(const ExampleId& id) {
  if ((ids_.size() + 1) * 4 > index_.size() * 3) Grow();
  uint32_t& place = index_[PlaceOf(id)];
  if (place != kEmpty) return {place, false};
  ATTUNE_CHECK(ids_.size() < kEmpty);
  place = size();
  ids_.push_back(id);
  return {place, true};
}

std::optional<uint32_t> ExampleTable::Find(const ExampleId& id) const {
  if (index_.empty()) return std::nullopt;
  const uint32_t number = index_[PlaceOf(id)];
  if (number == kEmpty) return std::nullopt;
  return number;
}

// The old index goes first: the numbers can be told from the ids.
void ExampleTable::Grow() {
  const size_t places = index_.empty() ? kPlacesAtFirst : index_.size() * 2;
  std::vector<uint32_t>().swap(index_);
  index_.assign(places, kEmpty);
  for (uint32_t number = 0; number < size(); ++number) index_[PlaceOf(ids_[number])] = number;
}

}  // namespace attune::datasets
