#include "coordinator/datasets/version_writer.h"

#include <algorithm>
#include <limits>

#include "common/base/hash.h"
#include "coordinator/datasets/shard_reader.h"

namespace attune::datasets {

VersionWriter::VersionWriter(const std::filesystem::path& folder, uint64_t shard_bytes)
    : splits_{ShardWriter(folder, "train", shard_bytes),
              ShardWriter(folder, "validation", shard_bytes),
              ShardWriter(folder, "unlabelled", shard_bytes)} {}

Result<bool> VersionWriter::Claim(std::string_view id) {
  if (!ids_.Insert(id)) return false;
  if (ids_.size() <= kExamplesMax) return true;
  return ResourceExhausted("more than " + std::to_string(kExamplesMax) +
                           " examples in one dataset: split it into several");
}

const ShardWriter* VersionWriter::Find(std::string_view split) const {
  auto it = std::ranges::find(splits_, split, &ShardWriter::split);
  return it == splits_.end() ? nullptr : &*it;
}

uint64_t VersionWriter::examples(std::string_view split) const {
  const ShardWriter* writer = Find(split);
  ATTUNE_CHECK(writer != nullptr);
  return writer->examples();
}

Status VersionWriter::Add(std::string_view split, const Row& row, std::string_view line) {
  auto writer = std::ranges::find(splits_, split, &ShardWriter::split);
  ATTUNE_CHECK(writer != splits_.end());
  ++kinds_[static_cast<size_t>(row.kind)];
  lengths_.push_back(static_cast<uint32_t>(
      std::min<uint64_t>(row.characters, std::numeric_limits<uint32_t>::max())));
  CountMetadata(row);
  return writer->Append(line);
}

Result<uint64_t> VersionWriter::CopyFrom(const v1::DatasetVersion& version) {
  ATTUNE_ASSIGN_OR_RETURN(const std::vector<Shard> shards, ReadManifest(version));
  uint64_t had = 0;
  for (const Shard& shard : shards) {
    if (Find(shard.split) == nullptr) {
      return DataLoss(version.path() + "/manifest.json: the split \"" + shard.split +
                      "\" is not known");
    }
    Status status = ReadShard(version, shard, [&](std::string_view line) -> Status {
      ATTUNE_ASSIGN_OR_RETURN(const bool there, CopyLine(shard.split, line));
      had += there ? 1 : 0;
      return Status();
    });
    if (!status.ok()) return status;
  }
  return had;
}

Result<bool> VersionWriter::CopyLine(std::string_view split, std::string_view line) {
  ATTUNE_ASSIGN_OR_RETURN(const std::string_view id, IdOfShardLine(line));
  ATTUNE_ASSIGN_OR_RETURN(const bool claimed, Claim(id));
  if (!claimed) return true;
  ATTUNE_ASSIGN_OR_RETURN(const Row row, ParseShardLine(line));
  ATTUNE_RETURN_IF_ERROR(Add(split, row, std::string(line) + "\n"));
  return false;
}

void VersionWriter::CountMetadata(const Row& row) {
  auto& counts = *report_.mutable_metadata_keys();
  for (const auto& [key, value] : row.metadata) {
    if (counts.size() < kMetadataKeysReported || counts.contains(key)) ++counts[key];
  }
}

Result<Imported> VersionWriter::Finish() {
  Imported imported;
  for (ShardWriter& split : splits_) {
    ATTUNE_RETURN_IF_ERROR(split.Finish());
    imported.shards.insert(imported.shards.end(), split.shards().begin(), split.shards().end());
  }
  FillReport();
  for (const Shard& shard : imported.shards) report_.set_bytes(report_.bytes() + shard.bytes);
  report_.set_checksum(ChecksumOf(imported.shards));
  imported.report = std::move(report_);
  return imported;
}

void VersionWriter::FillReport() {
  (*report_.mutable_examples())["train"] = examples("train");
  (*report_.mutable_examples())["validation"] = examples("validation");
  report_.set_unlabelled(examples("unlabelled"));
  if (report_.unlabelled() > 0) {
    (*report_.mutable_examples())["unlabelled"] = report_.unlabelled();
  }
  // Of what is learned; of the prompts only when there is nothing else.
  int kinds = 0;
  for (RowKind kind : {RowKind::kMessages, RowKind::kPromptCompletion, RowKind::kText}) {
    if (kinds_[static_cast<size_t>(kind)] == 0) continue;
    ++kinds;
    report_.set_shape(std::string(RowKindName(kind)));
  }
  if (kinds > 1) report_.set_shape("mixed");
  if (kinds == 0) report_.set_shape(std::string(RowKindName(RowKind::kPrompt)));
  if (lengths_.empty()) return;
  auto middle = lengths_.begin() + static_cast<ptrdiff_t>(lengths_.size() / 2);
  std::nth_element(lengths_.begin(), middle, lengths_.end());
  report_.set_characters_median(*middle);
  report_.set_characters_max(*std::max_element(middle, lengths_.end()));
}

std::string ChecksumOf(const std::vector<Shard>& shards) {
  Sha256 hash;
  for (const Shard& shard : shards) hash.Update(shard.sha256);
  return hash.Hex();
}

}  // namespace attune::datasets
