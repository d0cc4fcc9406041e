#include "worker/engine/data/shard_writer.h"

#include <algorithm>
#include <bit>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "token shards are little-endian");

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
  auto count = static_cast<uint32_t>(std::ranges::count(targets, 1));
  ATTUNE_CHECK(count > 0);
  lengths_.push_back(static_cast<uint32_t>(tokens.size()));
  target_counts_.push_back(count);
  ids_.insert(ids_.end(), id.begin(), id.end());
  tokens_ += tokens.size();
  target_tokens_ += count;
  largest_ = std::max(largest_, *std::ranges::max_element(tokens));
  static constexpr uint8_t kPadding[4] = {};
  ATTUNE_RETURN_IF_ERROR(Write(tokens.data(), tokens.size_bytes()));
  ATTUNE_RETURN_IF_ERROR(Write(targets.data(), targets.size()));
  return Write(kPadding, -targets.size() % 4);
}

Status ShardWriter::Commit() {
  uint64_t numbers[4] = {lengths_.size(), tokens_, file_.size(), largest_};
  ATTUNE_RETURN_IF_ERROR(Write(lengths_.data(), lengths_.size() * sizeof(uint32_t)));
  ATTUNE_RETURN_IF_ERROR(Write(target_counts_.data(), target_counts_.size() * sizeof(uint32_t)));
  ATTUNE_RETURN_IF_ERROR(Write(ids_.data(), ids_.size()));
  ATTUNE_RETURN_IF_ERROR(Write(numbers, sizeof numbers));
  ATTUNE_RETURN_IF_ERROR(file_.Append(hash_->Hex()));
  return file_.Commit();
}

}  // namespace attune::engine
