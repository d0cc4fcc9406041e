#include "worker/engine/data/shard_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "worker/engine/data/token_shard.h"

static_assert(std::endian::native == std::endian::little, "token files are little-endian");

namespace attune::engine {

Result<ShardWriter> ShardWriter::Create(const std::filesystem::path& file) {
  ATTUNE_ASSIGN_OR_RETURN(AtomicFileWriter out, AtomicFileWriter::Create(file));
  ShardWriter writer(std::move(out));
  uint32_t rest[2] = {kShardVersion, 0};
  ATTUNE_RETURN_IF_ERROR(writer.Write(kShardMagic, sizeof kShardMagic));
  ATTUNE_RETURN_IF_ERROR(writer.Write(rest, sizeof rest));
  return writer;
}

Status ShardWriter::Write(const void* data, size_t size) {
  hash_->Update(data, size);
  return file_.Append(data, size);
}

Status ShardWriter::Add(std::span<const uint32_t> tokens, std::span<const uint8_t> targets,
                        std::span<const uint8_t> id) {
  ATTUNE_CHECK(!tokens.empty());
  ATTUNE_CHECK(tokens.size() == targets.size());
  ATTUNE_CHECK(id.size() == kExampleIdBytes);
  ATTUNE_CHECK(targets[0] == 0);
  auto count = static_cast<uint32_t>(std::ranges::count_if(targets, IsTarget));
  ATTUNE_CHECK(count > 0);
  const uint64_t start = file_.size() / sizeof(uint32_t);
  if (start > UINT32_MAX) return InvalidArgument("a shard has more than 16 GiB of tokens");
  lengths_.push_back(static_cast<uint32_t>(tokens.size()));
  target_counts_.push_back(count);
  starts_.push_back(static_cast<uint32_t>(start));
  ids_.insert(ids_.end(), id.begin(), id.end());
  tokens_ += tokens.size();
  target_tokens_ += count;
  largest_ = std::max(largest_, *std::ranges::max_element(tokens));
  static constexpr uint8_t kPadding[4] = {};
  ATTUNE_RETURN_IF_ERROR(Write(tokens.data(), tokens.size_bytes()));
  ATTUNE_RETURN_IF_ERROR(Write(targets.data(), targets.size()));
  return Write(kPadding, -targets.size() % 4);
}

Status ShardWriter::Commit(std::string_view notes) {
  const uint64_t index = file_.size();
  const std::string examples_hash = hash_->Hex();
  hash_ = std::make_unique<Sha256>();
  for (const auto* column : {&lengths_, &target_counts_, &starts_}) {
    ATTUNE_RETURN_IF_ERROR(Write(column->data(), column->size() * sizeof(uint32_t)));
  }
  ATTUNE_RETURN_IF_ERROR(Write(ids_.data(), ids_.size()));
  const uint64_t numbers[5] = {lengths_.size(), tokens_, index, file_.size(), largest_};
  ATTUNE_RETURN_IF_ERROR(Write(notes.data(), notes.size()));
  ATTUNE_RETURN_IF_ERROR(Write(numbers, sizeof numbers));
  ATTUNE_RETURN_IF_ERROR(Write(examples_hash.data(), examples_hash.size()));
  ATTUNE_RETURN_IF_ERROR(file_.Append(hash_->Hex()));
  return file_.CommitUnlessThere();
}

}  // namespace attune::engine
