#include "worker/engine/data/token_file.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "common/base/files.h"
#include "common/base/hash.h"
#include "worker/engine/data/shard_writer.h"

namespace attune::engine {
namespace {

struct Footer {
  uint64_t examples, tokens, index_start, notes_start, largest;
  char examples_sha256[64], index_sha256[64];
};
static_assert(sizeof(Footer) == kShardFooterBytes);

constexpr size_t kIndexBytesAnExample = 3 * sizeof(uint32_t) + kExampleIdBytes;

uint64_t PaddedTargets(uint64_t length) {
  return (length + 3) / 4 * 4;
}
uint64_t ExampleBytes(uint64_t length) {
  return length * sizeof(uint32_t) + PaddedTargets(length);
}

Status CheckHash(std::span<const std::byte> bytes, const char (&sha256)[64]) {
  Sha256 hash;
  hash.Update(bytes.data(), bytes.size());
  if (hash.Hex() == std::string_view(sha256, sizeof sha256)) return Status();
  return DataLoss("the checksum does not match the content");
}

class MappedTokens : public TokenFile {
 public:
  explicit MappedTokens(std::shared_ptr<MappedFile> map) : map_(std::move(map)) {}

  Status Verify();
  Status CheckExamples() const override;

  size_t size() const override { return lengths_.size(); }
  TokenExample Example(size_t i) const override {
    ATTUNE_CHECK(i < starts_.size());
    const std::byte* start = map_->bytes().data() + starts_[i] * sizeof(uint32_t);
    size_t length = lengths_[i];
    return {{reinterpret_cast<const uint32_t*>(start), length},
            {reinterpret_cast<const uint8_t*>(start + length * sizeof(uint32_t)), length},
            ids_.subspan(i * kExampleIdBytes, kExampleIdBytes)};
  }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return target_counts_; }
  std::string_view notes() const override { return notes_; }
  void Release() const override {
    const std::span<const std::byte> bytes = map_->bytes();
    (void)madvise(const_cast<std::byte*>(bytes.data()), bytes.size(), MADV_DONTNEED);
  }

 private:
  Status CheckSizes(const Footer& footer);
  Status CheckIndex(const Footer& footer);
  Footer ReadFooter() const;

  std::shared_ptr<MappedFile> map_;
  std::span<const uint32_t> lengths_, target_counts_, starts_;
  std::span<const uint8_t> ids_;
  std::string_view notes_;
};

Footer MappedTokens::ReadFooter() const {
  Footer footer;
  std::memcpy(&footer, map_->bytes().data() + map_->bytes().size() - sizeof footer, sizeof footer);
  return footer;
}

Status MappedTokens::Verify() {
  std::span<const std::byte> bytes = map_->bytes();
  if (bytes.size() < kShardHeaderBytes + kShardFooterBytes)
    return DataLoss("the file is too short");
  if (std::memcmp(bytes.data(), kShardMagic, sizeof kShardMagic) != 0) {
    return DataLoss("the file has no tokens");
  }
  uint32_t version;
  std::memcpy(&version, bytes.data() + sizeof kShardMagic, sizeof version);
  if (version != kShardVersion) {
    return DataLoss("version " + std::to_string(version) + " of the format is not supported");
  }
  const Footer footer = ReadFooter();
  ATTUNE_RETURN_IF_ERROR(CheckSizes(footer));
  const size_t index_bytes = bytes.size() - sizeof footer.index_sha256 - footer.index_start;
  ATTUNE_RETURN_IF_ERROR(
      CheckHash(bytes.subspan(footer.index_start, index_bytes), footer.index_sha256));
  return CheckIndex(footer);
}

Status MappedTokens::CheckSizes(const Footer& footer) {
  std::span<const std::byte> bytes = map_->bytes();
  const uint64_t end = bytes.size() - sizeof footer;
  if (footer.index_start < kShardHeaderBytes || footer.notes_start > end ||
      footer.index_start > footer.notes_start || footer.index_start % sizeof(uint32_t) != 0 ||
      (footer.notes_start - footer.index_start) % kIndexBytesAnExample != 0 ||
      (footer.notes_start - footer.index_start) / kIndexBytesAnExample != footer.examples) {
    return DataLoss("the sizes in the footer do not fit the file");
  }
  const auto* index = reinterpret_cast<const uint32_t*>(bytes.data() + footer.index_start);
  lengths_ = {index, footer.examples};
  target_counts_ = {index + footer.examples, footer.examples};
  starts_ = {index + 2 * footer.examples, footer.examples};
  ids_ = {reinterpret_cast<const uint8_t*>(index + 3 * footer.examples),
          footer.examples * kExampleIdBytes};
  notes_ = {reinterpret_cast<const char*>(bytes.data() + footer.notes_start),
            end - footer.notes_start};
  return Status();
}

Status MappedTokens::CheckIndex(const Footer& footer) {
  uint64_t start = kShardHeaderBytes, tokens = 0;
  for (size_t i = 0; i < lengths_.size(); ++i) {
    const uint64_t room = footer.index_start - start;
    if (lengths_[i] == 0 || ExampleBytes(lengths_[i]) > room)
      return DataLoss("an example ends outside the file");
    if (starts_[i] * uint64_t{sizeof(uint32_t)} != start || target_counts_[i] == 0 ||
        target_counts_[i] >= lengths_[i]) {
      return DataLoss("the index is damaged at example " + std::to_string(i));
    }
    start += ExampleBytes(lengths_[i]);
    tokens += lengths_[i];
  }
  if (start != footer.index_start || tokens != footer.tokens) {
    return DataLoss("the examples do not add up to the file");
  }
  return Status();
}

Status MappedTokens::CheckExamples() const {
  const Footer footer = ReadFooter();
  ATTUNE_RETURN_IF_ERROR(
      CheckHash(map_->bytes().first(footer.index_start), footer.examples_sha256));
  for (size_t i = 0; i < size(); ++i) {
    TokenExample example = Example(i);
    uint32_t targets = 0;
    bool clean = example.targets[0] == 0;
    for (uint8_t target : example.targets) {
      clean = clean && target <= (kTarget | kTextBegins);
      targets += IsTarget(target);
    }
    uint32_t largest = *std::ranges::max_element(example.tokens);
    if (!clean || targets == 0 || targets != target_counts_[i] || largest > footer.largest) {
      return DataLoss("example " + std::to_string(i) + " is damaged");
    }
  }
  return Status();
}

class JoinedTokens : public TokenShard {
 public:
  void Add(std::shared_ptr<const TokenFile> file) {
    firsts_.push_back(lengths_.size());
    lengths_.insert(lengths_.end(), file->lengths().begin(), file->lengths().end());
    target_counts_.insert(target_counts_.end(), file->target_counts().begin(),
                          file->target_counts().end());
    file->Release();
    files_.push_back(std::move(file));
  }
  void Reserve(size_t examples) {
    lengths_.reserve(examples);
    target_counts_.reserve(examples);
  }

  size_t size() const override { return lengths_.size(); }
  TokenExample Example(size_t i) const override {
    ATTUNE_CHECK(i < lengths_.size());
    const auto file = std::ranges::upper_bound(firsts_, i) - firsts_.begin() - 1;
    const auto at = static_cast<size_t>(file);
    return files_[at]->Example(i - firsts_[at]);
  }
  std::span<const uint32_t> lengths() const override { return lengths_; }
  std::span<const uint32_t> target_counts() const override { return target_counts_; }
  void Release() const override {
    for (const auto& file : files_) file->Release();
  }

 private:
  std::vector<std::shared_ptr<const TokenFile>> files_;
  std::vector<size_t> firsts_;  // of each file: its first example
  std::vector<uint32_t> lengths_, target_counts_;
};

}  // namespace

Result<std::shared_ptr<const TokenFile>> TokenFile::Open(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(std::shared_ptr<MappedFile> map, MappedFile::Open(file));
  auto tokens = std::make_shared<MappedTokens>(std::move(map));
  if (Status status = tokens->Verify(); !status.ok()) return status.WithContext(file.string());
  tokens->Release();
  return std::shared_ptr<const TokenFile>(std::move(tokens));
}

Result<std::shared_ptr<const TokenShard>> TokenShard::Open(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(auto tokens, TokenFile::Open(file));
  if (Status status = tokens->CheckExamples(); !status.ok()) {
    return status.WithContext(file.string());
  }
  return std::shared_ptr<const TokenShard>(std::move(tokens));
}

Result<std::shared_ptr<const TokenShard>> Join(
    const std::vector<std::shared_ptr<const TokenFile>>& files) {
  size_t examples = 0;
  for (const auto& file : files) examples += file->size();
  if (examples > UINT32_MAX) {
    return InvalidArgument("the dataset has " + std::to_string(examples) +
                           " examples, the most is 2^32");
  }
  auto joined = std::make_shared<JoinedTokens>();
  joined->Reserve(examples);
  for (const auto& file : files) joined->Add(file);
  return std::shared_ptr<const TokenShard>(std::move(joined));
}

}  // namespace attune::engine
