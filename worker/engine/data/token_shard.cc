#include "worker/engine/data/token_shard.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "worker/engine/data/shard_writer.h"

namespace attune::engine {
namespace {

struct Footer {
  uint64_t examples, tokens, index_start, largest;
  char sha256[64];
};
static_assert(sizeof(Footer) == kShardFooterBytes);

constexpr size_t kIndexBytesAnExample = 2 * sizeof(uint32_t) + kExampleIdBytes;

uint64_t PaddedTargets(uint64_t length) {
  return (length + 3) / 4 * 4;
}
uint64_t ExampleBytes(uint64_t length) {
  return length * sizeof(uint32_t) + PaddedTargets(length);
}

class MappedShard : public TokenShard {
 public:
  explicit MappedShard(std::shared_ptr<MappedFile> map) : map_(std::move(map)) {}

  Status Check();

  size_t size() const override { return lengths_.size(); }
  TokenExample Example(size_t i) const override {
    ATTUNE_CHECK(i < starts_.size());
    const std::byte* start = map_->bytes().data() + starts_[i];
    size_t length = lengths_[i];
    return {{reinterpret_cast<const uint32_t*>(start), length},
            {reinterpret_cast<const uint8_t*>(start + length * sizeof(uint32_t)), length},
            ids_.subspan(i * kExampleIdBytes, kExampleIdBytes)};
  }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return target_counts_; }

 private:
  Status CheckSizes(const Footer& footer);
  Status CheckExamples(const Footer& footer);

  std::shared_ptr<MappedFile> map_;
  std::span<const uint32_t> lengths_, target_counts_;
  std::span<const uint8_t> ids_;
  std::vector<uint64_t> starts_;  // of each example in the file
};

Status MappedShard::Check() {
  std::span<const std::byte> bytes = map_->bytes();
  if (bytes.size() < kShardHeaderBytes + kShardFooterBytes)
    return DataLoss("the file is too short");
  if (std::memcmp(bytes.data(), kShardMagic, sizeof kShardMagic) != 0) {
    return DataLoss("the file is not a token shard");
  }
  uint32_t version;
  std::memcpy(&version, bytes.data() + sizeof kShardMagic, sizeof version);
  if (version != kShardVersion) {
    return DataLoss("version " + std::to_string(version) + " of the format is not supported");
  }
  Footer footer;
  std::memcpy(&footer, bytes.data() + bytes.size() - sizeof footer, sizeof footer);
  ATTUNE_RETURN_IF_ERROR(CheckSizes(footer));
  Sha256 hash;
  hash.Update(bytes.data(), bytes.size() - sizeof footer.sha256);
  if (hash.Hex() != std::string_view(footer.sha256, sizeof footer.sha256)) {
    return DataLoss("the checksum does not match the content");
  }
  return CheckExamples(footer);
}

Status MappedShard::CheckSizes(const Footer& footer) {
  std::span<const std::byte> bytes = map_->bytes();
  const uint64_t end = bytes.size() - sizeof footer;
  if (footer.index_start < kShardHeaderBytes || footer.index_start > end ||
      footer.index_start % sizeof(uint32_t) != 0 ||
      (end - footer.index_start) % kIndexBytesAnExample != 0 ||
      (end - footer.index_start) / kIndexBytesAnExample != footer.examples) {
    return DataLoss("the sizes in the footer do not fit the file");
  }
  const std::byte* index = bytes.data() + footer.index_start;
  lengths_ = {reinterpret_cast<const uint32_t*>(index), footer.examples};
  target_counts_ = {lengths_.data() + footer.examples, footer.examples};
  ids_ = {reinterpret_cast<const uint8_t*>(target_counts_.data() + footer.examples),
          footer.examples * kExampleIdBytes};
  starts_.reserve(footer.examples);
  uint64_t start = kShardHeaderBytes, tokens = 0;
  for (uint32_t length : lengths_) {
    uint64_t room = footer.index_start - start;
    if (length == 0 || ExampleBytes(length) > room)
      return DataLoss("an example ends outside the file");
    starts_.push_back(start);
    start += ExampleBytes(length);
    tokens += length;
  }
  if (start != footer.index_start || tokens != footer.tokens) {
    return DataLoss("the examples do not add up to the file");
  }
  return Status();
}

Status MappedShard::CheckExamples(const Footer& footer) {
  for (size_t i = 0; i < size(); ++i) {
    TokenExample example = Example(i);
    uint32_t targets = 0;
    bool clean = example.targets[0] == 0;
    for (uint8_t target : example.targets) {
      clean = clean && target <= 1;
      targets += target;
    }
    uint32_t largest = *std::ranges::max_element(example.tokens);
    if (!clean || targets == 0 || targets != target_counts_[i] || largest > footer.largest) {
      return DataLoss("example " + std::to_string(i) + " is damaged");
    }
  }
  return Status();
}

}  // namespace

Result<std::shared_ptr<const TokenShard>> TokenShard::Open(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> map, MappedFile::Open(file));
  auto shard = std::make_shared<MappedShard>(std::move(map));
  if (Status status = shard->Check(); !status.ok()) return status.WithContext(file.string());
  return std::shared_ptr<const TokenShard>(std::move(shard));
}

}  // namespace attune::engine
