#include "coordinator/curation/near_duplicates.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace attune::curation {
namespace {

// Of the rows of a band, those that no earlier one is similar to are kept to compare with, up to so
// many: what agrees in a band by chance must not make it quadratic.
constexpr size_t kRepresentativesMax = 16;
constexpr size_t kFilterBytesMin = 1 << 12, kFilterBytesMax = 64 << 20;

// A union-find whose roots are the least rows; paths are halved as they are walked.
uint32_t Find(std::vector<uint32_t>& parents, uint32_t row) {
  while (parents[row] != row) row = parents[row] = parents[parents[row]];
  return row;
}

void Unite(std::vector<uint32_t>& parents, uint32_t a, uint32_t b) {
  a = Find(parents, a);
  b = Find(parents, b);
  parents[std::max(a, b)] = std::min(a, b);
}

Status TooMany() {
  return ResourceExhausted("more than 4,294,967,295 rows: split the data set");
}

}  // namespace

// A Bloom filter with two bits a key, both in one word: whether a key may be among those that were
// put in.
class NearDuplicates::KeyFilter {
 public:
  // 16 bits a key, within the limits.
  explicit KeyFilter(uint64_t keys) {
    size_t bytes = kFilterBytesMin;
    while (bytes < kFilterBytesMax && bytes < keys * 2) bytes *= 2;
    words_.resize(bytes / sizeof(uint64_t));
  }
  void Insert(uint64_t key) { Word(key) |= Bits(key); }
  bool MayHave(uint64_t key) const {
    return (words_[key & (words_.size() - 1)] & Bits(key)) == Bits(key);
  }

 private:
  uint64_t& Word(uint64_t key) { return words_[key & (words_.size() - 1)]; }
  static uint64_t Bits(uint64_t key) {
    return uint64_t{1} << (key >> 58) | uint64_t{1} << (key >> 52 & 63);
  }
  std::vector<uint64_t> words_;
};

NearDuplicates::NearDuplicates(ScratchFile added, const NearDuplicateOptions& options)
    : options_(options),
      banding_(BandingFor(options.threshold)),
      accepted_(AcceptedSimilarity(options.threshold)),
      added_(std::move(added)),
      bands_(options.folder, options.buffer_bytes, options.cancelled),
      cancelled_(options.cancelled) {}

Result<NearDuplicates> NearDuplicates::Create(const NearDuplicateOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(ScratchFile added, ScratchFile::Create(options.folder));
  return NearDuplicates(std::move(added), options);
}

Status NearDuplicates::AddStored(std::span<const Signature> signatures,
                                 std::shared_ptr<const void> owner) {
  ATTUNE_CHECK(added_.size() == 0);
  if (stored_rows_ + signatures.size() > std::numeric_limits<uint32_t>::max()) return TooMany();
  if (signatures.empty()) return Status();
  parts_.push_back({stored_rows_, signatures, std::move(owner)});
  stored_rows_ += signatures.size();
  return Status();
}

Status NearDuplicates::Add(const Signature& signature) {
  if (rows() >= std::numeric_limits<uint32_t>::max()) return TooMany();
  return added_.Append(signature.data(), signature.size());
}

Status NearDuplicates::AddKeys(uint64_t first, std::span<const Signature> signatures,
                               const KeyFilter* filter) {
  std::vector<uint64_t> keys;
  for (size_t i = 0; i < signatures.size(); ++i) {
    ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
    keys.clear();
    AppendBandKeys(banding_, signatures[i], &keys);
    for (uint64_t key : keys) {
      if (filter != nullptr && !filter->MayHave(key)) continue;
      ATTUNE_RETURN_IF_ERROR(bands_.Add(key, static_cast<uint32_t>(first + i)));
    }
  }
  return Status();
}

Status NearDuplicates::AddAllKeys() {
  const Part& added = parts_.back();
  std::unique_ptr<KeyFilter> filter;
  if (!options_.stored_are_compared && stored_rows_ > 0) {
    filter = std::make_unique<KeyFilter>(added.signatures.size() * banding_.bands);
    std::vector<uint64_t> keys;
    for (const Signature& signature : added.signatures) {
      ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
      keys.clear();
      AppendBandKeys(banding_, signature, &keys);
      for (uint64_t key : keys) filter->Insert(key);
    }
  }
  for (const Part& part : parts_) {
    const bool stored = &part != &added;
    ATTUNE_RETURN_IF_ERROR(AddKeys(part.first, part.signatures, stored ? filter.get() : nullptr));
  }
  return Status();
}

const Signature& NearDuplicates::At(uint64_t row) const {
  const auto after = std::ranges::upper_bound(parts_, row, {}, &Part::first);
  const Part& part = *std::prev(after);
  return part.signatures[row - part.first];
}

Status NearDuplicates::Join(std::span<const uint32_t> rows) {
  std::vector<uint32_t> representatives;
  for (uint32_t row : rows) {
    ATTUNE_RETURN_IF_ERROR(cancelled_.Step());
    const bool joined = std::ranges::any_of(representatives, [&](uint32_t other) {
      if (Find(parents_, row) == Find(parents_, other)) return true;
      if (Similarity(At(row), At(other)) < accepted_) return false;
      Unite(parents_, row, other);
      return true;
    });
    if (!joined && representatives.size() < kRepresentativesMax) representatives.push_back(row);
  }
  return Status();
}

Result<std::vector<uint32_t>> NearDuplicates::Finish() {
  static_assert(sizeof(Signature) == kPermutations && alignof(Signature) == 1);
  const uint64_t all = rows();
  ATTUNE_ASSIGN_OR_RETURN(const std::span<const std::byte> bytes, added_.Map());
  const auto* added = reinterpret_cast<const Signature*>(bytes.data());
  parts_.push_back({stored_rows_, {added, bytes.size() / sizeof(Signature)}, nullptr});
  ATTUNE_RETURN_IF_ERROR(AddAllKeys());
  parents_.resize(all);
  std::iota(parents_.begin(), parents_.end(), 0u);
  ATTUNE_RETURN_IF_ERROR(
      bands_.ForEachGroup([&](std::span<const uint32_t> group) { return Join(group); }));
  // A parent is never after its child, so that it is resolved before.
  for (uint32_t& parent : parents_) parent = parents_[parent];
  return std::move(parents_);
}

}  // namespace attune::curation
