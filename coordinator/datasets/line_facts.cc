#include "coordinator/datasets/line_facts.h"

#include <algorithm>
#include <limits>

namespace attune::datasets {

size_t MetadataKeys::BitOf(const std::string& key) {
  if (auto known = bits_.find(key); known != bits_.end()) return known->second;
  if (keys_.size() == kMetadataKeysReported) return kMetadataKeysReported;
  keys_.push_back(key);
  return bits_[key] = keys_.size() - 1;
}

uint64_t MetadataKeys::BitsOf(const Metadata& metadata) {
  static_assert(kMetadataKeysReported < 64);
  uint64_t bits = 0;
  for (const auto& [key, value] : metadata) bits |= uint64_t{1} << BitOf(key);
  return bits & ((uint64_t{1} << kMetadataKeysReported) - 1);
}

LineFacts FactsOf(const Row& row, uint64_t hash, MetadataKeys* keys) {
  return {.id = ParseExampleId(row.id),
          .hash = hash,
          .metadata_keys = keys->BitsOf(row.metadata),
          .characters = static_cast<uint32_t>(
              std::min<uint64_t>(row.characters, std::numeric_limits<uint32_t>::max())),
          .kind = row.kind};
}

void LengthCounts::Add(uint32_t characters) {
  ++lines_;
  ++(characters < short_.size() ? short_[characters] : long_[characters]);
}

uint32_t LengthCounts::Median() const {
  uint64_t before = 0;
  for (uint32_t characters = 0; characters < short_.size(); ++characters) {
    before += short_[characters];
    if (before > lines_ / 2) return characters;
  }
  for (const auto& [characters, lines] : long_) {
    before += lines;
    if (before > lines_ / 2) return characters;
  }
  return 0;
}

uint32_t LengthCounts::Max() const {
  if (!long_.empty()) return long_.rbegin()->first;
  auto longest = std::find_if(short_.rbegin(), short_.rend(), [](uint64_t n) { return n > 0; });
  return longest == short_.rend() ? 0 : static_cast<uint32_t>(short_.rend() - longest - 1);
}

}  // namespace attune::datasets
